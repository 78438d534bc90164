"""Says which client a request came from: the rules of `Forwarded` and `X-Forwarded-For` a second time.

Written from the grammars of RFC 7239, RFC 9110 and RFC 3986 as regular expressions, not from the Rust code, so that the two
can be held against each other. Reads a JSON object a line (`peer`, `header`, `lines` as ISO 8859-1), and writes an address
a line.
"""

import ipaddress
import json
import re
import sys

TRUSTED = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]

# RFC 3986 section 3.2.2.
DEC_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = rf"{DEC_OCTET}(?:\.{DEC_OCTET}){{3}}"
H16 = "[0-9A-Fa-f]{1,4}"
LS32 = f"(?:{H16}:{H16}|{IPV4})"
IPV6 = "(?:" + "|".join(
    [f"(?:{H16}:){{6}}{LS32}", f"::(?:{H16}:){{5}}{LS32}"]
    + [f"(?:(?:{H16}:){{0,{n}}}{H16})?::(?:{H16}:){{{4 - n}}}{LS32}" for n in range(5)]
    + [f"(?:(?:{H16}:){{0,5}}{H16})?::{H16}", f"(?:(?:{H16}:){{0,6}}{H16})?::"]
) + ")"

# RFC 7239 section 6.
PORT = "[0-9]{1,5}"
OBFUSCATED = r"_[A-Za-z0-9._-]+"
NODE = re.compile(rf"(?:({IPV4})|\[({IPV6})\])(?::(?:{PORT}|{OBFUSCATED}))?")

# Our own rules for a header that has no grammar: a zone by RFC 6874, a port of digits.
ZONE = "(?:%[A-Za-z0-9._~-]+)?"
MEMBER = re.compile(rf"({IPV4})(?::{PORT})?|\[({IPV6}){ZONE}\](?::{PORT})?|({IPV6}){ZONE}")

# RFC 9110 sections 5.6.2 and 5.6.4.
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = re.compile('"((?:[\t !#-\\[\\]-~\x80-\xff]|\\\\[\t -~\x80-\xff])*)"')
# A quoted string of which only the number is left.
MARK = "\u0100[0-9]+\u0101"
PAIR = re.compile(f"({TOKEN})=({TOKEN}|{MARK})")


def address(match):
    return match and ipaddress.ip_address(next(group for group in match.groups() if group))


def in_forwarded(line):
    """The hops of a line, or None if it is no `Forwarded`."""
    strings = []

    def remember(match):
        strings.append(re.sub(r"\\(.)", r"\1", match[1]))
        return f"\u0100{len(strings) - 1}\u0101"

    hops = []
    for element in QUOTED.sub(remember, line).split(","):
        if not element.strip("\t "):
            continue
        pairs = [pair.strip("\t ") for pair in element.split(";")]
        found = [PAIR.fullmatch(pair) for pair in pairs if pair]
        if not all(found):
            return None
        nodes = [match[2] for match in found if match[1].lower() == "for"]
        if len(nodes) != 1:
            hops.append(None)
            continue
        node = strings[int(nodes[0][1:-1])] if nodes[0][0] == "\u0100" else nodes[0]
        hops.append(address(NODE.fullmatch(node)))
    return hops


def in_x_forwarded_for(line):
    members = [member.strip("\t ") for member in line.split(",")]
    return [address(MEMBER.fullmatch(member)) for member in members if member]


def canonical(hop):
    return getattr(hop, "ipv4_mapped", None) or hop


def is_trusted(hop):
    return any(hop in network for network in TRUSTED)


def client(peer, header, lines):
    client = canonical(ipaddress.ip_address(peer))
    read = in_forwarded if header == "forwarded" else in_x_forwarded_for
    # From the newest hop on.
    for line in reversed(lines):
        hops = read(line)
        if hops is None:
            return client
        for hop in reversed(hops):
            if not is_trusted(client) or hop is None:
                return client
            client = canonical(hop)
    return client


for case in sys.stdin:
    case = json.loads(case)
    # A stranger's header is not looked at.
    lines = case["lines"] if is_trusted(canonical(ipaddress.ip_address(case["peer"]))) else []
    print(client(case["peer"], case["header"], lines))
