-- Changes no table. From here on secrets of one-time-password devices are written in a form that servers without this
-- migration do not read: they refuse the store in place of the people.
SELECT 1;
