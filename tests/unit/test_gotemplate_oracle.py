"""Docker as the oracle: what we print for a template is what it prints, or we refuse the template.

`docker context inspect` evaluates templates in the client, so no daemon is needed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cmanager.cli.output.gofunctions import OpenMap
from cmanager.cli.output.gotemplate import render
from cmanager.errors import InvalidError

TEMPLATES = r"""
{{.Name}}
{{json .Name}} {{json .Endpoints}} {{json true}} {{json "<é>"}} {{json .TLSMaterial}} {{json nil}}
{{range $k, $v := .Endpoints}}{{$k}}={{$v.Host}}{{end}}
{{range .Endpoints}}{{.Host}} {{$.Name}}{{end}}
{{(index .Endpoints "docker").Host}} {{.Endpoints.docker.SkipTLSVerify}}
{{index .Endpoints "none"}}
{{if .Endpoints.docker.SkipTLSVerify}}a{{else}}b{{end}}
{{with .Name}}{{.}}{{else}}none{{end}}
{{with $x := .Name}}{{$x}}{{end}}{{$y := 1}}{{$y}}
{{if eq .Name "x"}}1{{else if eq .Name "default"}}2{{else}}3{{end}}
{{if and .Name (eq .Name "default")}}y{{end}}{{if or (eq .Name "x") (ne .Name "y")}}z{{end}}
{{range $i, $c := split "a,b" ","}}{{$i}}{{$c}}{{end}}
{{range split "" ","}}[{{.}}]{{else}}empty{{end}}
{{printf "%5s|%-5s|%q|%v|%v|%t" .Name "b" "c\n" .Name true false}}
{{printf "%d|%5d|%-5d|%05d|%+d|%.2f|%6.2f|%10.3s|%%" 5 5 5 5 5 1.5 3.14159 "abcdef"}}
{{printf "%5t|%-10q|%v %v" true "a" 1 "b"}}
{{upper .Name}} {{lower "ABC"}} {{title "hello world ÉCOLE"}} {{.Name | upper | printf "%10s|"}}
{{split "a,b,c" ","}} {{index (split "a,b,c" ",") 1}} {{join (split "a,b,c" ",") "-"}}
{{truncate "abcdef" 3}} {{pad "a" 2 2}}| {{len .Name}} {{len "héllo"}} {{len .Endpoints}} {{.Name | len}}
{{eq .Name "x" "default"}} {{lt 1 2}} {{le 1 1}} {{gt 2 1}} {{ge 1 2}} {{lt "a" "b"}} {{ge "a" "b"}}
{{and true .Name}} {{or "" "x"}} {{not .Name}} {{not true | not}} {{or false}} {{and 1 0}}
{{slice .Name 1 3}} {{slice .Name 1}} {{slice .Name}} {{len (slice .Name 1)}}
{{print "a" "b" 1 2 "c"}} {{println "a" 1}} {{print nil}} {{print true 1.5}}
a  {{- .Name -}}  b
a {{/* c */}}x{{- /* d */ -}} y
{{true}} {{1}} {{-1}} {{1.5}} {{"a\tb\x41é"}} {{`raw\t`}}
{{$.Name}} {{.Endpoints.docker.Host | json}}
{{nil}}
{{.Nothing}}
{{.Name.X}}
{{unknown}}
{{.Name
{{end}}
{{}}
{{eq 1 1.0}}
{{eq "1" 1}}
{{eq true 1}}
{{lt true false}}
{{index .Name "x"}}
{{join .Name ","}}
{{split .Name}}
{{pad .Name}}
{{json}}
{{eq}}
{{and}}
{{printf}}
{{print}}
{{len 5}}
{{slice .Name 9}}
{{slice .Name 3 1}}
{{range .Name}}x{{end}}
{{printf "%x" 255}}
{{printf "%s" 1}}
{{printf "%d" "1"}}
{{printf "%s %s" "a"}}
{{printf "a" 1}}
{{$x = 1}}
{{if}}x{{end}}
{{if .Name}}x
{{else}}
{{range $a, $b, $c := .Endpoints}}{{end}}
{{define "x"}}{{end}}
{{template "x"}}
{{.Name .Name}}
{{.Name | .Name}}
{{(.Name}}
{{"a}}
{{1 | upper}}
{{upper 1}}
{{call .Name}}
""".strip().split("\n")


def docker(template: str, directory: Path) -> str | None:
    """What docker prints, None for a template that it refuses."""
    command = ["docker", "--config", str(directory), "context", "inspect", "default", "-f", template]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n") if done.returncode == 0 else None


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not shutil.which("docker"):
        pytest.skip("the docker command is not installed")
    text = docker("{{json .}}", tmp_path_factory.mktemp("docker"))
    if text is None:
        pytest.skip("this docker has no `context inspect`")
    found: dict[str, Any] = json.loads(text)
    return found | {key: OpenMap(found[key]) for key in ("Metadata", "Endpoints", "TLSMaterial")}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_means_what_it_means_to_docker(template: str, data: dict[str, Any], tmp_path: Path) -> None:
    try:
        ours = render(template, data)
    except InvalidError:
        return  # refusing is always allowed; what must not be refused stands in test_gotemplate.py
    assert ours == docker(template, tmp_path)
