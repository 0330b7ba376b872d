"""What the reader of source code sees, and what it must not be fooled by."""

import pytest
from envcli_vetting.capability.scan import CodeFacts, scan_sources
from envcli_vetting.capability.table import DYNAMIC, load_table
from envcli_vetting.observation import Confidence


def scan(code: str, **others: str) -> CodeFacts:
    sources = {"pkg/plugin.py": code.encode()}
    return scan_sources(sources | {f"pkg/{name}.py": text.encode() for name, text in others.items()})


def certain(code: str, **others: str) -> set[str]:
    uses = scan(code, **others).uses
    return {use.permission for use in uses if use.confidence is Confidence.HIGH and not use.is_mediated}


@pytest.mark.parametrize(
    ("code", "permission"),
    [
        ("import os\nos.system('id')", "process:spawn"),
        ("import os as o\no.system('id')", "process:spawn"),
        ("from os import system as s\ns('id')", "process:spawn"),
        ("from os import *\nsystem('id')", "process:spawn"),
        ("import os\nf = os.system\nf('id')", "process:spawn"),
        ("import os\nx = os\ny = x\ny.system('id')", "process:spawn"),
        ("import os\na, b = 1, os\nb.system('id')", "process:spawn"),
        (
            "import os\nclass A:\n  m = os\n  def f(self):\n    self.n = os\n    self.n.system('id')",
            "process:spawn",
        ),
        ("import os\n(os if 1 else None).system('id')", "process:spawn"),
        ("import os\ndef f(x=os):\n  x.system('id')", "process:spawn"),
        ("import os\ngetattr(os, 'system')('id')", "process:spawn"),
        ("import os\ngetattr(os, 'sys' + 'tem')('id')", "process:spawn"),
        ("import os\ngetattr(os, 'metsys'[::-1])('id')", "process:spawn"),
        ("import os\nn = 'system'\ngetattr(os, n)('id')", "process:spawn"),
        ("import os\ngetattr(os, ''.join(['sys', 'tem']))('id')", "process:spawn"),
        ("import os\ngetattr(os, chr(115) + 'ystem')('id')", "process:spawn"),
        ("import os, base64\ngetattr(os, base64.b64decode('c3lzdGVt').decode())('id')", "process:spawn"),
        ("import os, codecs\ngetattr(os, codecs.decode('flfgrz', 'rot13'))('id')", "process:spawn"),
        ("import os\ngetattr(os, bytes.fromhex('73797374656d').decode())('id')", "process:spawn"),
        ("import os\nvars(os)['system']('id')", "process:spawn"),
        ("import os\nos.__dict__['system']('id')", "process:spawn"),
        ("import sys\nsys.modules['os'].system('id')", "process:spawn"),
        ("__import__('os').system('id')", "process:spawn"),
        ("__import__('o' + 's').system('id')", "process:spawn"),
        ("import importlib as i\ni.import_module('subprocess').run(['id'])", "process:spawn"),
        ("exec('import os; os.system(1)')", "process:spawn"),
        ("eval(\"__import__('os').system('id')\")", "process:spawn"),
        ("import subprocess\nclass P(subprocess.Popen): ...", "process:spawn"),
        ("import asyncio\nasync def f():\n  await asyncio.create_subprocess_shell('id')", "process:spawn"),
        ("import socket\nsocket.socket()", "network:connect"),
        ("from socket import create_connection as c\nc(('h', 1))", "network:connect"),
        ("import urllib.request\nurllib.request.urlopen('https://e.org')", "network:connect"),
        ("from urllib import request\nrequest.urlopen('https://e.org')", "network:connect"),
        ("import http.client as h\nh.HTTPSConnection('e.org')", "network:connect"),
        ("import boto3", "network:connect"),
        ("def f():\n  import hvac", "network:connect"),
        ("from google.cloud import storage", "network:connect"),
        ("open('x').read()", "file:read"),
        ("from pathlib import Path\nPath('x').read_text()", "file:read"),
        ("import pathlib\n(pathlib.Path.home() / '.ssh').read_text()", "file:read"),
        ("from pathlib import Path\np = Path('x')\np.joinpath('y').read_bytes()", "file:read"),
        ("import os\nos.listdir('.')", "file:read"),
        ("open('x', 'w')", "file:write"),
        ("open('x', mode='ab')", "file:write"),
        ("from pathlib import Path\nPath('x').write_text('')", "file:write"),
        ("import shutil\nshutil.rmtree('x')", "file:write"),
        ("import os\nos.environ['HOME']", "variable:read"),
        ("import os\ndict(os.environ)", "variable:read"),
        ("from os import environ\nenviron.get('A')", "variable:read"),
        ("import os\nos.getenv('A')", "variable:read"),
        ("import ctypes\nctypes.CDLL(None)", "system:*"),
        ("import os\nos.setuid(0)", "system:*"),
        ("import os\nos.open('x', 0)", "file:write"),
    ],
)
def test_a_use_is_seen_however_it_is_spelt(code: str, permission: str) -> None:
    assert permission in certain(code)


@pytest.mark.parametrize(
    "code",
    [
        "import os\ngetattr(os, input())()",
        "import os\nfor n in ['a', 'system']:\n  getattr(os, n)",
        "import os\nn = 'path'\nn = input()\ngetattr(os, n)",
        "import os\ndef f(n='path'):\n  getattr(os, n)",
        "import os\nprint([os])",
        "import os\nhelper(os)",
        "import sys\nsys.modules[input()]",
        "__import__(input())",
        "import importlib\nimportlib.import_module(input())",
        "exec(input())",
        "e = eval\ne(input())",
        "import pickle\npickle.loads(b'')",
        "from marshal import loads\nloads(b'')",
        "().__class__.__bases__[0].__subclasses__()",
        "f.__globals__['os']",
        "__builtins__['eval']",
        "import builtins\ngetattr(builtins, input())",
        "import types\ntypes.FunctionType",
        "globals()['x']",
    ],
)
def test_what_only_run_time_knows_is_called_dynamic(code: str) -> None:
    assert DYNAMIC in certain(code)


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.path.join('a', 'b')",
        "import os\nos.environ['AWS_EC2_METADATA_DISABLED'] = 'true'",
        "import os",
        "import socket\ntry: ...\nexcept socket.timeout: ...",
        "import re\nre.compile('x')",
        "import json, datetime, dataclasses, hashlib, urllib.parse\nurllib.parse.urlsplit('https://e.org')",
        "from importlib.resources import files\nfiles('pkg').joinpath('x').read_text()",
        "import importlib.metadata\nimportlib.metadata.version('x')",
        "x = {}\nx.open('r')\nx.get('os.system')",
        "getattr(object(), input())",
        "def open_door(): ...\nopen_door()",
        "'''import os; os.system()'''",
        "import logging\nlogging.getLogger('x').info('x')",
        "import subprocess\ntry: ...\nexcept subprocess.CalledProcessError: ...",
        "requests = []\nrequests.append(1)",
    ],
)
def test_harmless_code_uses_nothing(code: str) -> None:
    assert scan(code).uses == ()


def test_names_are_followed_through_the_plugins_own_modules() -> None:
    assert certain("from .compat import o\no.system('id')", compat="import os as o") == {"process:spawn"}
    assert certain("from pkg import compat\ncompat.run(1)", compat="from subprocess import run") >= {
        "process:spawn"
    }


def test_a_decoy_of_the_same_name_hides_nothing() -> None:
    code = "import os\ndef f():\n  os = 1\n  return os\ndef open(x): ...\nos.system('id')\nopen('x')"
    assert certain(code) >= {"process:spawn", "file:read"}


def test_evidence_names_file_and_line() -> None:
    (use,) = scan("import os\n\n\nos.system('id')\n").uses
    assert (use.path, use.line, use.name) == ("pkg/plugin.py", 4, "os.system")


def test_the_hosts_own_api_is_told_apart() -> None:
    uses = scan("class P:\n  def execute(self, ctx):\n    ctx.api.files.open('x')").uses
    assert {(use.permission, use.is_mediated) for use in uses} == {("file:read", True), ("file:write", True)}


def test_places_of_secrets_are_pointed_out_but_not_in_prose() -> None:
    facts = scan("'''Reads ~/.ssh/id_rsa.'''\np = '~/.ssh/id_rsa'\nu = 'http://169.254.169.254/latest'\n")
    assert [(text.rule, text.line) for text in facts.texts] == [("secret-place", 2), ("metadata-address", 3)]


@pytest.mark.parametrize(
    "source",
    [
        b"def (",
        b"\x00",
        b"# coding: no-such-codec\n",
        b"x = " + b"(" * 5000 + b")" * 5000,
        b"x = " + b"-" * 200_000 + b"1",
        b"x = 1" + b" + 1" * 200_000,
        b"x" + b".a" * 5000,
        b"#" * (1 << 20) + b"##",
        b"x = 1\n" * 200_000,
    ],
)
def test_source_that_cannot_be_judged_says_so(source: bytes) -> None:
    facts = scan_sources({"pkg/a.py": source})
    assert facts.unreadable
    assert facts.unreadable[0][0] == "pkg/a.py"


def test_the_table_names_permissions_that_exist() -> None:
    from envcli_sdk import PermissionName

    table = load_table()
    named = {
        one
        for names in (table.imported, table.used, table.methods)
        for many in names.values()
        for one in many
    }
    assert named <= {*PermissionName, DYNAMIC}


@pytest.mark.parametrize(
    ("call", "permissions"),
    [
        ("environments.variables('dev')", {"variable:read"}),
        ("environments.set('dev', 'A', 'b')", {"variable:write"}),
        ("environments.names()", set()),
        ("environments", {"variable:read", "variable:write"}),
        ("files.open('x')", {"file:read", "file:write"}),
    ],
)
def test_the_host_api_is_told_apart_by_method(call: str, permissions: set[str]) -> None:
    uses = scan(f"class P:\n  def execute(self, ctx):\n    return ctx.api.{call}").uses

    assert {use.permission for use in uses} == permissions
