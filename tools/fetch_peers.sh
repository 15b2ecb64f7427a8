#!/bin/sh
# Brings the programs of others that the tests and benches run against into .peers/, without touching the system.
#
#   fetch_peers.sh              Debian's stock git-lfs, as .peers/git-lfs. Elsewhere than on Debian and its kin, put a stock
#                               git-lfs there by hand; the tests that need it say so and skip.
#   fetch_peers.sh lifecycle    gto, model-signing and the like, in a venv .peers/lifecycle; PYTHON names the interpreter.
set -eu
cd "$(dirname "$0")/.."
peers=$PWD/.peers

git_lfs() {
    [ -x "$peers/git-lfs" ] && return
    mkdir -p "$peers"
    if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
        echo "fetch_peers: no apt here; put a stock git-lfs at .peers/git-lfs to run the interoperability tests" >&2
        return
    fi
    # apt's own state goes into a folder of ours, so this needs no root and no earlier 'apt-get update'.
    mkdir -p "$peers/apt/lists/partial" "$peers/apt/archives/partial"
    apt="apt-get -qq -o Dir::State::Lists=$peers/apt/lists -o Dir::Cache=$peers/apt -o APT::Sandbox::User= -o Debug::NoLocking=1"
    $apt update
    (cd "$peers/apt" && $apt download git-lfs && dpkg -x git-lfs_*.deb unpacked)
    cp "$peers/apt/unpacked/usr/bin/git-lfs" "$peers/git-lfs.new"
    mv "$peers/git-lfs.new" "$peers/git-lfs"
    rm -rf "$peers/apt"
    "$peers/git-lfs" version
}

lifecycle() {
    cmp -s tests/peers-requirements.txt "$peers/lifecycle/ready" && return
    rm -f "$peers/lifecycle/ready"
    [ -x "$peers/lifecycle/bin/python" ] || "${PYTHON:-python3}" -m venv "$peers/lifecycle"
    "$peers/lifecycle/bin/python" -m pip --disable-pip-version-check --quiet install -r tests/peers-requirements.txt
    # What is in it: a changed list makes it anew.
    cp tests/peers-requirements.txt "$peers/lifecycle/ready"
}

case "${1:-git-lfs}" in
    git-lfs) git_lfs ;;
    lifecycle) lifecycle ;;
    *) echo "usage: fetch_peers.sh [git-lfs|lifecycle]" >&2; exit 2 ;;
esac
