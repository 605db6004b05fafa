//! The difference between two texts, as diff(1) shows it with `-u`.

/// Lines around a change.
const AROUND: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

/// The difference, or nothing where there is none. `None` stands for a file that is not there.
pub(crate) fn unified(path: &str, old: Option<&str>, new: Option<&str>) -> String {
    if old == new {
        return String::new();
    }
    let name = |text: Option<&str>| if text.is_some() { path } else { "/dev/null" };
    let mut shown = format!("--- {}\n+++ {}\n", name(old), name(new));
    let lines = compare(&split(old), &split(new));
    for (start, end) in hunks(&lines) {
        shown.push_str(&hunk(&lines, start, end));
    }
    shown
}

fn split(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().split_inclusive('\n').collect()
}

/// By the longest common subsequence; stacks are short.
fn compare<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(Side, &'t str)> {
    let width = new.len() + 1;
    let mut longest = vec![0_usize; (old.len() + 1) * width];
    let at =
        |table: &[usize], row: usize, column: usize| table.get(row * width + column).copied().unwrap_or(0);
    for (row, one) in old.iter().enumerate().rev() {
        for (column, other) in new.iter().enumerate().rev() {
            let length = if one == other {
                at(&longest, row + 1, column + 1) + 1
            } else {
                at(&longest, row + 1, column).max(at(&longest, row, column + 1))
            };
            if let Some(place) = longest.get_mut(row * width + column) {
                *place = length;
            }
        }
    }
    let (mut row, mut column, mut lines) = (0, 0, Vec::new());
    loop {
        match (old.get(row), new.get(column)) {
            (Some(one), Some(other)) if one == other => {
                lines.push((Side::Both, *one));
                row += 1;
                column += 1;
            }
            (Some(one), other)
                if other.is_none() || at(&longest, row + 1, column) >= at(&longest, row, column + 1) =>
            {
                lines.push((Side::Old, *one));
                row += 1;
            }
            (_, Some(other)) => {
                lines.push((Side::New, *other));
                column += 1;
            }
            (_, None) => return lines,
        }
    }
}

/// Where changes are, with the lines around them, as ranges of lines.
fn hunks(lines: &[(Side, &str)]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (at, _) in lines.iter().enumerate().filter(|(_, (side, _))| *side != Side::Both) {
        let (start, end) = (at.saturating_sub(AROUND), (at + AROUND + 1).min(lines.len()));
        match hunks.last_mut() {
            Some((_, last)) if *last >= start => *last = end,
            _ => hunks.push((start, end)),
        }
    }
    hunks
}

fn hunk(lines: &[(Side, &str)], start: usize, end: usize) -> String {
    let (before, rest) = lines.split_at(start.min(lines.len()));
    let within = rest.get(..end - start).unwrap_or(rest);
    let count = |lines: &[(Side, &str)], other: Side| lines.iter().filter(|(side, _)| *side != other).count();
    let range = |other: Side| {
        let (first, length) = (count(before, other), count(within, other));
        // A range of no lines names the line before it.
        if length == 0 { format!("{first},0") } else { format!("{},{length}", first + 1) }
    };
    let mut shown = format!("@@ -{} +{} @@\n", range(Side::New), range(Side::Old));
    for (side, line) in within {
        let sign = match side {
            Side::Both => ' ',
            Side::Old => '-',
            Side::New => '+',
        };
        shown.push(sign);
        shown.push_str(line);
        if !line.ends_with('\n') {
            shown.push_str("\n\\ No newline at end of file\n");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_where_nothing_differs() {
        assert_eq!(unified("/x", Some("a\n"), Some("a\n")), "");
        assert_eq!(unified("/x", None, None), "");
    }

    #[test]
    fn changes_apart_have_hunks_of_their_own() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11";
        let new = "1\nx\n3\n4\n5\n6\n7\n8\n9\n10\n11\ny\n";
        let shown = unified("/x", Some(old), Some(new));
        assert_eq!(
            shown,
            "--- /x\n+++ /x\n@@ -1,5 +1,5 @@\n 1\n-2\n+x\n 3\n 4\n 5\n@@ -8,4 +8,5 @@\n 8\n 9\n 10\n-11\n\
             \\ No newline at end of file\n+11\n+y\n"
        );
    }

    #[test]
    fn a_new_file_and_one_that_goes() {
        assert_eq!(unified("/x", None, Some("a\n")), "--- /dev/null\n+++ /x\n@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(unified("/x", Some("a\n"), None), "--- /x\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n");
    }
}
