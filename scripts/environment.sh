# Sourced by the other scripts: makes .venv with the extras asked for, once; says what it does.
# shellcheck shell=bash

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "deltann needs Python 3.11, 3.12 or 3.13 on the PATH; name one with PYTHON=/path/to/python." >&2
    return 1
}

# environment EXTRAS: leaves .venv with deltann and these extras in it.
environment() {
    local extras=$1 python stamp wanted
    python=$(find_python)
    wanted="$("$python" -c 'import hashlib,sys; print(hashlib.sha256(open("pyproject.toml","rb").read()).hexdigest(), sys.version_info[:2])')"
    stamp=".venv/deltann-installed-$extras"
    if is_installed "$extras" "$wanted"; then
        say "Environment: .venv is there, with everything in it."
        return
    fi
    say "Environment: making .venv with $("$python" --version) (once; minutes, by the speed of your network)."
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    case ",$extras," in *,zoo,* | *,torch,*) warn_about_cuda ;; esac
    say "Installing deltann[$extras] ..."
    .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off --editable ".[$extras]" |
        { grep --line-buffered -E '^ *(Collecting|Downloading|Installing|Successfully)' || true; } | cut -c1-110 >&2
    # onnx2keras asks for the package tensorflow, which would put its files over those of tensorflow-cpu.
    case ",$extras," in *,tensorflow,*)
        .venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps onnx2keras==0.0.25
        ;;
    esac
    .venv/bin/python -c 'import deltann, deltann_agent'
    printf '%s' "$wanted" >"$stamp"
}

# is_installed EXTRAS WANTED: whether .venv has these extras already, alone or among others.
is_installed() {
    local stamp extra
    for stamp in .venv/deltann-installed-*; do
        [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$2" ] || continue
        for extra in ${1//,/ }; do
            case ",${stamp#*-installed-}," in *",$extra,"*) ;; *) continue 2 ;; esac
        done
        return 0
    done
    return 1
}

warn_about_cuda() {
    if [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null &&
        ! .venv/bin/python -c 'import torch' 2>/dev/null; then
        say "No NVIDIA GPU here: see \"Without a GPU\" in README.md if PyTorch begins to download CUDA packages."
    fi
}
