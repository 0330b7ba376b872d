"""Variables that decide which code a program runs.

Whoever may set one of these runs code as the user at the next ``envcli run``, outside of every sandbox. So they
come from the user's own hand only: never from a store, a rule's repair or a grant that merely covers them by a
wildcard; and those that no program can escape are not taken from an environment's file either.
"""

_LOADERS = frozenset({"BASH_ENV", "GCONV_PATH", "GLIBC_TUNABLES", "PYTHONSTARTUP", "SHELLOPTS", "BASHOPTS"})
_LOADER_PREFIXES = ("LD_", "DYLD_", "BASH_FUNC_")
_NAMES = """
    PATH HOME IFS PS4 PROMPT_COMMAND SHELL EDITOR VISUAL PAGER MANPAGER LESSOPEN LESSCLOSE BROWSER
    PYTHONPATH PYTHONHOME PYTHONINSPECT PYTHONBREAKPOINT PYTHONUSERBASE PYTHONPLATLIBDIR PYTHONPYCACHEPREFIX
    NODE_OPTIONS NODE_PATH PERL5OPT PERL5LIB PERLLIB PERL5DB RUBYOPT RUBYLIB PHPRC PHP_INI_SCAN_DIR LUA_INIT
    JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS CLASSPATH RUSTC_WRAPPER CARGO_HOME GOFLAGS MAKEFLAGS
    GIT_SSH GIT_ASKPASS GIT_EDITOR GIT_PAGER GIT_EXEC_PATH GIT_EXTERNAL_DIFF GIT_PROXY_COMMAND GIT_TEMPLATE_DIR
"""
_STEERING = frozenset(_NAMES.split())
_STEERING_PREFIXES = ("GIT_SSH_", "GIT_CONFIG", "ENVCLI_", "PIP_", "UV_", "NPM_CONFIG_", "CORECLR_", "COR_")


def is_loader(name: str) -> bool:
    """Whether a variable makes every program, or every shell, run code that it names."""
    return name in _LOADERS or name.startswith(_LOADER_PREFIXES)


def steers_programs(name: str) -> bool:
    """Whether a variable makes some widespread program run code that it names."""
    return is_loader(name) or name.upper() in _STEERING or name.upper().startswith(_STEERING_PREFIXES)
