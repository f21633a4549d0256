"""A blog on Quart, whose authors sign in by two fields of the session."""

from __future__ import annotations

from typing import Any

from quart import Quart, abort, flash, redirect, render_template_string, request, session, url_for

PAGE = """
{% for message in get_flashed_messages() %}<p>{{ message }}</p>{% endfor %}
{% if session.logged_in %}
  <p>signed in as <b>{{ session.user }}</b></p><a href="/logout">log out</a>
  <form action="/posts" method=post><input name=text></form>
{% else %}
  <form action="/login" method=post><input name=username><input name=password type=password></form>
{% endif %}
{% if new %}<p>{{ new }} new</p>{% endif %}
{% for post in posts %}<p>{{ post }}</p>{% endfor %}
"""

app = Quart(__name__)
app.config.update(SECRET_KEY="development key", USERS={"ada": "difference", "mallory": "engine"})
posts: list[str] = []


@app.get("/")
async def home() -> str:
    new = len(posts) - session.get("seen", 0)
    session["seen"] = len(posts)
    return await render_template_string(PAGE, posts=posts, new=new)


@app.post("/posts")
async def add() -> Any:
    if not session.get("logged_in"):
        abort(401)
    posts.append((await request.form)["text"])
    await flash("New entry was posted")
    return redirect(url_for("home"))


@app.post("/login")
async def sign_in() -> Any:
    form = await request.form
    if app.config["USERS"].get(form["username"]) == form["password"]:
        session["logged_in"] = True
        session["user"] = form["username"]
        await flash("You were logged in")
    else:
        await flash("Invalid username or password")
    return redirect(url_for("home"))


@app.get("/logout")
async def sign_out() -> Any:
    session.pop("logged_in", None)
    session.pop("user", None)
    await flash("You were logged out")
    return redirect(url_for("home"))
