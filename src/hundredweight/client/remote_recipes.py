"""Recipes of objects that are not here, from the server: which tensors changed is then known without any of their data.

A server that does not pack, or has not packed an object yet, has none; that costs one request and is no error.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.base.files import write_file
from hundredweight.base.trace import trace
from hundredweight.client.summary import Row, Summary
from hundredweight.client.tensor_hashes import TensorFact
from hundredweight.protocol.batch import BASIC, DOWNLOAD, Wanted
from hundredweight.protocol.blocks import BLOCKS, MAX_RECIPE, SMALLEST, TRANSFER, recipe_url
from hundredweight.store.recipe import NOT_HASHED, Recipe, RecipeDamaged
from hundredweight.transfer.actions import Actions
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.base.ids import Oid
    from hundredweight.client.workspace import Workspace
    from hundredweight.protocol.batch import BatchObject
    from hundredweight.protocol.pointer import Pointer
    from hundredweight.transfer.server import LfsServer

BATCH = 100


def learn(workspace: Workspace, pointers: Iterable[Pointer]) -> int:
    """Get and keep the server's recipes of objects that are not here; gives how many. Whatever keeps a server from answering is
    traced: who asked then says that the object is missing."""
    store = workspace.store
    wanted = {
        each.oid: each.size
        for each in pointers
        if each.size >= SMALLEST and not store.has(each.oid, each.size) and known(workspace, each.oid) is None
    }
    if not wanted or workspace.config.bool("lfs.basictransfersonly", False):
        return 0
    asked = [Wanted(oid, size) for oid, size in wanted.items()]
    learnt = 0
    try:
        git_dir = workspace.repository.git_dir
        with open_server(workspace.config, workspace.git, workspace.variables, git_dir=git_dir) as server:
            if server.endpoint.is_local:
                return 0
            for start in range(0, len(asked), BATCH):
                answer = server.batch(DOWNLOAD, asked[start : start + BATCH], transfers=(TRANSFER, BASIC))
                learnt += sum(_learn_one(workspace, server, each) for each in answer.objects)
    except CwtError as error:
        trace(f"no recipes from the server: {error}")
    return learnt


def _learn_one(workspace: Workspace, server: LfsServer, answer: BatchObject) -> bool:
    action = answer.actions.get(BLOCKS)
    if action is None:
        return False
    try:
        request = Actions(server).request("GET", action, recipe_url(action.href))
        access = None if answer.authenticated else action.href.partition(answer.oid)[0]
        recipe = Recipe.decode(server.session.send(request, access).content(MAX_RECIPE))
        if recipe.oid != answer.oid or recipe.size != answer.size or not recipe.tensors:
            return False
        write_file(_kept(workspace, recipe.oid), recipe.encode())
    except CwtError as error:
        trace(f"no recipe of {answer.oid}: {error}")
        return False
    return True


def known(workspace: Workspace, oid: Oid) -> Summary | None:
    """What a kept recipe tells of an object: its tensors and their hashes, no metadata. None where there is none, or not
    of all."""
    try:
        with open(_kept(workspace, oid), "rb") as file:
            recipe = Recipe.decode(file.read())
    except (FileNotFoundError, RecipeDamaged):
        return None
    if any(row.start == NOT_HASHED for row in recipe.tensors):
        return None
    rows = tuple(Row(TensorFact(row.name, row.dtype, row.shape, row.length), row.digest) for row in recipe.tensors)
    return Summary(recipe.format, recipe.size, {}, (), rows)


def _kept(workspace: Workspace, oid: Oid) -> str:
    return os.path.join(workspace.repository.common_dir, "hundredweight", "recipes", oid[:2], oid)
