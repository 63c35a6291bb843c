"""Scripts and commands of languages that need no more than their own program.

A Script is written to a file and run by the language's program; Commands are shell commands with
that program at hand. Python and the shell have files of their own.
"""

from __future__ import annotations

from typing import ClassVar

from penstock_runner.tasks.api import task
from penstock_runner.tasks.scripts import Language, LanguageCommands, LanguageScript

NODE = Language(suffix=".js", run="node", image="node", env={}, caches={"npm_config_cache": "npm"})
BUN = Language(
    suffix=".ts",
    run="bun run",
    image="oven/bun",
    env={},
    caches={"BUN_INSTALL_CACHE_DIR": "bun"},
)
DENO = Language(
    suffix=".ts",
    run="deno run -A",
    image="denoland/deno",
    env={},
    caches={"DENO_DIR": "deno"},
)
R = Language(suffix=".R", run="Rscript", image="r-base", env={})
RUBY = Language(suffix=".rb", run="ruby", image="ruby", env={})
JULIA = Language(suffix=".jl", run="julia", image="julia", env={})
GO = Language(
    suffix=".go",
    run="go run",
    image="golang",
    env={},
    caches={"GOCACHE": "go-build", "GOPATH": "go"},
)
POWERSHELL = Language(
    suffix=".ps1",
    run="pwsh -NoProfile -NonInteractive -File",
    image="ghcr.io/kestra-io/powershell:latest",
    env={},
)
PERL = Language(suffix=".pl", run="perl", image="perl", env={})
PHP = Language(suffix=".php", run="php", image="php", env={})
LUA = Language(suffix=".lua", run="lua", image="nickblah/lua", env={})
RUST = Language(
    suffix=".rs",
    run='penstock_compile() { rustc -o "$1.bin" "$1" && "$1.bin"; }; penstock_compile',
    image="rust",
    env={},
)


@task("io.kestra.plugin.scripts.node.Script")
class NodeScript(LanguageScript):
    """A script in JavaScript run by Node.js."""

    language: ClassVar[Language] = NODE


@task("io.kestra.plugin.scripts.node.Commands")
class NodeCommands(LanguageCommands):
    """Shell commands with Node.js at hand."""

    language: ClassVar[Language] = NODE


@task("io.kestra.plugin.scripts.bun.Script")
class BunScript(LanguageScript):
    """A script in JavaScript or TypeScript run by Bun."""

    language: ClassVar[Language] = BUN


@task("io.kestra.plugin.scripts.bun.Commands")
class BunCommands(LanguageCommands):
    """Shell commands with Bun at hand."""

    language: ClassVar[Language] = BUN


@task("io.kestra.plugin.scripts.deno.Script")
class DenoScript(LanguageScript):
    """A script in JavaScript or TypeScript run by Deno."""

    language: ClassVar[Language] = DENO


@task("io.kestra.plugin.scripts.deno.Commands")
class DenoCommands(LanguageCommands):
    """Shell commands with Deno at hand."""

    language: ClassVar[Language] = DENO


@task("io.kestra.plugin.scripts.r.Script")
class RScript(LanguageScript):
    """A script in R."""

    language: ClassVar[Language] = R


@task("io.kestra.plugin.scripts.r.Commands")
class RCommands(LanguageCommands):
    """Shell commands with R at hand."""

    language: ClassVar[Language] = R


@task("io.kestra.plugin.scripts.ruby.Script")
class RubyScript(LanguageScript):
    """A script in Ruby."""

    language: ClassVar[Language] = RUBY


@task("io.kestra.plugin.scripts.ruby.Commands")
class RubyCommands(LanguageCommands):
    """Shell commands with Ruby at hand."""

    language: ClassVar[Language] = RUBY


@task("io.kestra.plugin.scripts.julia.Script")
class JuliaScript(LanguageScript):
    """A script in Julia."""

    language: ClassVar[Language] = JULIA


@task("io.kestra.plugin.scripts.julia.Commands")
class JuliaCommands(LanguageCommands):
    """Shell commands with Julia at hand."""

    language: ClassVar[Language] = JULIA


@task("io.kestra.plugin.scripts.go.Script")
class GoScript(LanguageScript):
    """A script in Go."""

    language: ClassVar[Language] = GO


@task("io.kestra.plugin.scripts.go.Commands")
class GoCommands(LanguageCommands):
    """Shell commands with Go at hand."""

    language: ClassVar[Language] = GO


@task("io.kestra.plugin.scripts.powershell.Script")
class PowerShellScript(LanguageScript):
    """A script in PowerShell."""

    language: ClassVar[Language] = POWERSHELL


@task("io.kestra.plugin.scripts.powershell.Commands")
class PowerShellCommands(LanguageCommands):
    """Shell commands with PowerShell at hand."""

    language: ClassVar[Language] = POWERSHELL


@task("io.kestra.plugin.scripts.perl.Script")
class PerlScript(LanguageScript):
    """A script in Perl."""

    language: ClassVar[Language] = PERL


@task("io.kestra.plugin.scripts.perl.Commands")
class PerlCommands(LanguageCommands):
    """Shell commands with Perl at hand."""

    language: ClassVar[Language] = PERL


@task("io.kestra.plugin.scripts.php.Script")
class PhpScript(LanguageScript):
    """A script in PHP."""

    language: ClassVar[Language] = PHP


@task("io.kestra.plugin.scripts.php.Commands")
class PhpCommands(LanguageCommands):
    """Shell commands with PHP at hand."""

    language: ClassVar[Language] = PHP


@task("io.kestra.plugin.scripts.lua.Script")
class LuaScript(LanguageScript):
    """A script in Lua."""

    language: ClassVar[Language] = LUA


@task("io.kestra.plugin.scripts.lua.Commands")
class LuaCommands(LanguageCommands):
    """Shell commands with Lua at hand."""

    language: ClassVar[Language] = LUA


@task("io.kestra.plugin.scripts.rust.Script")
class RustScript(LanguageScript):
    """A script in Rust."""

    language: ClassVar[Language] = RUST


@task("io.kestra.plugin.scripts.rust.Commands")
class RustCommands(LanguageCommands):
    """Shell commands with Rust at hand."""

    language: ClassVar[Language] = RUST
