"""One worker of the demonstration: campaigns for the leadership and says what happens to it.

Run by demo.py as a process of its own. Each line on standard output is a JSON object with `event`
(waiting, leading, checked, lost or resigned), `at` (boot-time seconds) and, from leading on, a
`token`. It steps down when its standard input closes or brings a line, and campaigns no more.
"""

import argparse
import json
import select
import sys
import time

from holdfast import Client, LockLost

CHECK_EVERY_S = 0.02


def tell(event: str, token: int = 0) -> None:
    line = {"event": event, "token": token, "at": time.clock_gettime(time.CLOCK_BOOTTIME)}
    print(json.dumps(line), flush=True)


def asked_to_stop(wait_s: float) -> bool:
    return bool(select.select([sys.stdin], [], [], wait_s)[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--servers", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--ttl", type=float, required=True)
    options = parser.parse_args()
    with Client(options.servers.split(",")) as client, \
            client.session(ttl=options.ttl, name=options.name) as session:
        tell("waiting")
        try:
            with session.election(options.path).campaign(options.name) as leadership:
                tell("leading", leadership.token)
                while not asked_to_stop(CHECK_EVERY_S):
                    leadership.check()
                    tell("checked", leadership.token)
            tell("resigned", leadership.token)
        except LockLost:
            tell("lost")


if __name__ == "__main__":
    main()
