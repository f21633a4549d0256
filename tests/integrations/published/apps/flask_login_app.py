"""Flask-Login with a form of Flask-WTF, whose token is in the session from the first page on."""

from __future__ import annotations

from typing import Any

from flask import Flask, redirect, render_template_string, url_for
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired

PASSWORDS = {"ada": "difference", "mallory": "engine"}
FORM = "<form method=post>{{ form.hidden_tag() }} {{ form.username() }} {{ form.password() }}</form>"

app = Flask(__name__)
app.secret_key = "super secret string"
logins = LoginManager(app)
logins.login_view = "sign_in"


class User(UserMixin):  # type: ignore[misc]  # it has no types
    def __init__(self, name: str) -> None:
        self.id = name


class LoginForm(FlaskForm):  # type: ignore[misc]  # as above
    username = StringField(validators=[DataRequired()])
    password = PasswordField(validators=[DataRequired()])


@logins.user_loader
def load_user(name: str) -> User | None:
    return User(name) if name in PASSWORDS else None


@app.get("/")
@login_required
def home() -> str:
    return render_template_string("<p>signed in as <b>{{ name }}</b></p>", name=current_user.id)


@app.route("/login", methods=["GET", "POST"])
def sign_in() -> Any:
    form = LoginForm()
    if form.validate_on_submit() and PASSWORDS.get(form.username.data) == form.password.data:
        login_user(User(form.username.data))
        return redirect(url_for("home"))
    return render_template_string(FORM, form=form)


@app.get("/logout")
@login_required
def sign_out() -> Any:
    logout_user()
    return redirect(url_for("home"))
