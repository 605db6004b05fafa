"""What somebody does to the queue and the exchange of the service behind its back.

    meddle.py URI waiting            prints how many messages wait in the queue
    meddle.py URI remove-queue
    meddle.py URI remove-exchange
    meddle.py URI another-exchange   declares one of that name with another type
    meddle.py URI cut-off            removes the exchange, and puts a message into the queue past it
"""

import sys

import amqp

from messages import connect

uri, what = sys.argv[1:]
connection, channel = connect(uri)
if what == "waiting":
    print(channel.queue_declare("rpc-ungleichotp", passive=True).message_count)
elif what == "remove-queue":
    channel.queue_delete("rpc-ungleichotp")
elif what == "remove-exchange":
    channel.exchange_delete("nameko-rpc")
elif what == "another-exchange":
    channel.exchange_declare("nameko-rpc", "fanout", durable=True, auto_delete=False)
elif what == "cut-off":
    channel.exchange_delete("nameko-rpc")
    message = amqp.Message(b"{}", content_type="application/json", correlation_id="x", reply_to="nobody")
    channel.basic_publish(message, "", "rpc-ungleichotp")
else:
    raise SystemExit(__doc__)
connection.close()
