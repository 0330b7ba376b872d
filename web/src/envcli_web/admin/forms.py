"""Forms of the administration."""

from flask_wtf import FlaskForm
from wtforms import PasswordField, SubmitField
from wtforms.validators import InputRequired, Length


class ClaimForm(FlaskForm):  # type: ignore[misc]
    """The one-time code. A password field, so that browsers neither show nor remember it."""

    code = PasswordField(
        "One-time code", [InputRequired(), Length(max=64)], render_kw={"autocomplete": "one-time-code"}
    )
    submit = SubmitField("Become administrator")
