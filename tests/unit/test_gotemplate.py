"""Go templates; what is expected here is what the docker command line (28.2) prints for the same words."""

from __future__ import annotations

import json
import re

import pytest

from cmanager.cli.output.gofunctions import OpenMap
from cmanager.cli.output.gotemplate import Template, render
from cmanager.errors import InvalidError

DATA = {
    "Name": "web",
    "State": {"Status": "running", "Running": True, "ExitCode": 0, "Pid": 42},
    "Config": {"Labels": OpenMap({"tier": "front", "com.x/y": "z"}), "Env": ["A=1", "B=2"], "Cmd": []},
    "Networks": {"bridge": {"IP": "10.88.0.2"}, "alpha": {"IP": "10.89.0.2"}},
    "Nothing": None,
    "Load": 2.0,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        # fields and literals
        ("plain }} text", "plain }} text"),
        ("{{.Name}} {{.State.Status}} {{.State.Running}} {{$.State.Pid}}", "web running true 42"),
        ("{{.Config.Labels.tier}}|{{.Config.Labels.none}}", "front|<no value>"),
        ("{{.Config.Env}} {{.Networks.alpha}} {{.Load}} {{.Nothing}}", "[A=1 B=2] map[IP:10.89.0.2] 2 <no value>"),
        (r'{{"a\t\x41\u00e9"}} {{`a\t}}`}} {{-5}} {{1.50}} {{true}}', "a\tA\u00e9 a\\t}} -5 1.5 true"),
        ('{{index .Config.Labels "com.x/y"}} {{index .Config.Env 1}} {{index .Config.Labels "none"}}', "z B=2 "),
        ('{{(index .Networks "bridge").IP}}', "10.88.0.2"),
        # space
        ("a  {{- .Name -}}  b", "awebb"),
        ("a {{- /* a remark }} */ -}} b", "ab"),
        ("{{ .Name }}\\n", "web\\n"),
        # choices
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if .State.ExitCode}}bad{{else if .Config.Cmd}}cmd{{else}}none{{end}}", "none"),
        ("{{with .State}}{{.Pid}} {{$.Name}}{{end}}{{with .Nothing}}x{{else}}y{{end}}", "42 weby"),
        ("{{with $x := .Name}}{{$x}}{{end}}{{$y := 1}}{{$y}}", "web1"),
        ("{{with .Nothing}}x{{else with .Name}}{{.}}{{end}}", "web"),
        # loops
        ("{{range .Config.Env}}{{.}};{{end}}", "A=1;B=2;"),
        ("{{range $i, $e := .Config.Env}}{{$i}}{{$e}} {{end}}", "0A=1 1B=2 "),
        ("{{range $k, $v := .Networks}}{{$k}}={{$v.IP}} {{end}}", "alpha=10.89.0.2 bridge=10.88.0.2 "),
        ("{{range $v := .Networks}}{{.IP}} {{end}}", "10.89.0.2 10.88.0.2 "),
        ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
        # comparisons
        ('{{eq .Name "web"}} {{eq 1 2 1}} {{ne 1 2}} {{lt 1 2}} {{ge "a" "b"}}', "true true true true false"),
        (
            "{{and .Name .Load}} {{or .Nothing .Name}} {{not .Nothing}} {{len .Config.Env}} {{len `\u00e9`}}",
            "2 web true 2 2",
        ),
        ("{{if and .Nothing .Nothing.Deep}}x{{else}}not looked at{{end}}", "not looked at"),
        # functions and pipelines
        (
            "{{.State.Status | upper}} {{upper `a` | lower}} {{title `it's helloWorld a_b`}}",
            "RUNNING a It'S HelloWorld A_b",
        ),
        ('{{join .Config.Env ","}} {{split "a/b/c" "/"}} {{"," | join .Config.Env}}', "A=1,B=2 [a b c] A=1,B=2"),
        ('{{truncate "abcdef" 3}}{{truncate "ab" 3}}{{pad "a" 1 2}}|{{slice "abcdef" 1 3}}', "abcab a  |bc"),
        ('{{print 1 2 "a" "b" 3 4}} {{println "a" 1}}', "1 2ab3 4 a 1\n"),
        (
            r'{{printf "%5s|%-5s|%03d|%q|%v|%.1f|%t|100%% x" "a" "b" 3 "\u00e9\"" .Config.Env .Load true}}',
            '    a|b    |003|"\u00e9\\""|[A=1 B=2]|2.0|true|100% x',
        ),
        ("{{json .State.Status}} {{json .Config.Cmd}} {{.Nothing | json}}", '"running" [] null'),
        ("{{json (index .Config.Env 0)}}", '"A=1"'),
        ('{{json "<\u00e9>"}}', '"<\u00e9>"'),
    ],
)
def test_what_stands_in_scripts_is_evaluated(template: str, text: str) -> None:
    assert render(template, DATA) == text


def test_json_of_everything_can_be_read_back() -> None:
    assert json.loads(render("{{json .}}", DATA)) == DATA


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("{{.Nme}}", "no field 'Nme', did you mean 'Name'"),
        ("{{.State.Zzz}}", "no field 'Zzz', known are ExitCode, Pid, Running, Status"),
        ("{{.Name.Length}}", "no field 'Length' in a text"),
        ("{{.Nothing.Deep}}", "no field 'Deep' in a nothing"),
        ("{{uper .Name}}", "'uper' is not supported, did you mean 'upper'"),
        ("{{$x}}", r"variable '\$x' is not set"),
    ],
)
def test_an_unknown_word_names_the_nearest_known_one(template: str, named: str) -> None:
    with pytest.raises(InvalidError, match=named):
        render(template, DATA)


REFUSED = r"""
{{   {{.Name   {{}}   {{ }}   {{"}}   {{"a}} {{.Name}}   {{/* open}}   {{.Name}   {{{{.Name}}}}
{{end}}   {{else}}   {{if .Name}}   {{if}}x{{end}}   {{if .Name}}{{else}}{{else}}{{end}}   {{if .Name}}x{{end now}}
{{if .Nothing}}{{else with .Name}}x{{end}}   {{range .Config.Cmd}}{{else if 1}}{{end}}
{{range q := .Config.Env}}{{end}}   {{range $a, $b, $c := .Config.Env}}{{end}}   {{$a, $b := .Name}}
{{$x := 1}}{{$x = 2}}   {{define `x`}}{{end}}   {{template `x`}}   {{block `x` .}}{{end}}   {{break}}   {{call .Name}}
{{.Name .Name}}   {{.Name | .Name}}   {{.Name |}}   {{| upper}}   {{(.Name}}   {{.Name)}}   {{.Name.}}   {{..Name}}
{{.my-label}}   {{1e5}}   {{0x1f}}   {{'a'}}   {{"\z"}}   {{html .Name}}
{{eq .State.Pid "42"}}   {{eq .Name}}   {{eq .State.Running 1}}   {{lt 1 "2"}}   {{len .State.Pid}}   {{not}}   {{and}}
{{upper .State.Pid}}   {{upper}}   {{join .Name ","}}   {{range .Name}}x{{end}}   {{range .State.Pid}}x{{end}}
{{index .Config.Env 2}}   {{index .Config.Env -1}}   {{index .Name 0}}   {{slice .Name 2 1}}   {{slice .Name 9}}
{{truncate .Name -1}}   {{pad .Name 999999999 0}}   {{printf "%999999999d" 1}}   {{printf "%*d" 1 1}}   {{printf}}
{{printf "%x" 1}}   {{printf "%"}}   {{printf "%s"}}   {{printf "%s" 1}}   {{printf "%d" "1"}}   {{printf "a" 1}}
"""
TOO_DEEP = ("{{" + "(" * 9999 + ")" * 9999 + "}}", "{{if 1}}" * 9999 + "{{end}}" * 9999)


@pytest.mark.parametrize("template", re.split(r" {3}|\n", REFUSED.strip()))
def test_everything_else_is_refused_and_never_printed(template: str) -> None:
    with pytest.raises(InvalidError) as caught:
        render(template, DATA)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("template", TOO_DEEP, ids=["parentheses", "choices"])
def test_what_is_nested_too_deeply_is_refused(template: str) -> None:
    with pytest.raises(InvalidError, match="nested too deeply"):
        render(template, DATA)


def test_a_template_is_read_once_and_rendered_often() -> None:
    template = Template("{{$n := .n}}{{$n}}")
    assert [template.render({"n": n}) for n in (1, 2)] == ["1", "2"]
