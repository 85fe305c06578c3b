#!/usr/bin/env bash
# The steps of the GitHub Action (action.yml): install, lint, judge. Values come in variables, never
# in the text of a command, so that no input can run anything.
set -euo pipefail

environment=$RUNNER_TEMP/scotoma

# Prints the lines of $1 that are not blank, without blanks around them.
lines() {
    printf '%s\n' "$1" | tr -d '\r' | sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e '/^$/d'
}

# Writes the SARIF report $1 to $2 without what does not count: code scanning takes no notice of
# suppressions and kinds.
counting() {
    "$PYTHON" - "$1" "$2" << 'END'
import json, sys

with open(sys.argv[1], encoding="utf-8") as file:
    report = json.load(file)
for run in report["runs"]:
    run["results"] = [
        result
        for result in run["results"]
        if result.get("kind", "fail") == "fail" and not result.get("suppressions")
    ]
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(report, file)
END
}

# Reads a document that is not there as an empty one.
show() { [ ! -f "$1" ] || cat "$1"; }

case ${1-} in
install)
    "$PYTHON" -m venv "$environment"
    if [ -d "$environment/Scripts" ]; then bin=$environment/Scripts; else bin=$environment/bin; fi
    "$bin/python" -m pip install --quiet --disable-pip-version-check "$GITHUB_ACTION_PATH"
    echo "$bin" >> "$GITHUB_PATH"
    ;;
lint)
    models=() options=()
    while IFS= read -r line; do models+=("$line"); done < <(lines "$INPUT_MODELS")
    while IFS= read -r line; do options+=("$line"); done < <(lines "$INPUT_ARGS")
    [ -z "$INPUT_FAIL_ON" ] || options+=("--fail-on=$INPUT_FAIL_ON")
    [ -z "$INPUT_BASELINE" ] || options+=("--baseline=$INPUT_BASELINE")
    annotations=$RUNNER_TEMP/scotoma.annotations
    summary=$RUNNER_TEMP/scotoma.md
    rm -f "$annotations" "$summary" "$INPUT_SARIF"
    status=0
    # What a model or its file is called must not be taken for a command to GitHub.
    token=$("$PYTHON" -c 'import secrets; print(secrets.token_hex(16))')
    echo "::stop-commands::$token"
    # Old versions of bash take an empty array for an unknown name.
    scotoma lint ${options[@]+"${options[@]}"} -o text=- -o "github=$annotations" \
        -o "markdown=$summary" -o "sarif=$INPUT_SARIF" -- ${models[@]+"${models[@]}"} || status=$?
    echo "::$token::"
    show "$annotations"
    show "$summary" >> "$GITHUB_STEP_SUMMARY"
    sarif=$INPUT_SARIF upload=$RUNNER_TEMP/scotoma.upload.sarif
    if [ -f "$sarif" ]; then counting "$sarif" "$upload"; else sarif='' upload=''; fi
    printf 'status=%s\nsarif=%s\nupload=%s\n' "$status" "$sarif" "$upload" >> "$GITHUB_OUTPUT"
    ;;
judge)
    exit "${STATUS:-3}"
    ;;
*)
    echo "usage: github_action.sh install|lint|judge" >&2
    exit 2
    ;;
esac
