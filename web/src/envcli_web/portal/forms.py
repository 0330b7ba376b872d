"""Forms of the publishers' portal."""

from flask_wtf import FlaskForm
from wtforms import SelectField, StringField, SubmitField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

DAYS = {"1": "1 day", "7": "7 days", "30": "30 days", "90": "90 days", "365": "1 year"}
LIFETIMES = [SelectChoice(value, label) for value, label in DAYS.items()]


class PublisherForm(FlaskForm):  # type: ignore[misc]
    """A new publisher."""

    name = StringField(
        "Publisher name",
        [InputRequired(), Length(3, 60)],
        description="Shown beside your plugins. Can be a team.",
    )
    submit = SubmitField("Create publisher")


class TokenForm(FlaskForm):  # type: ignore[misc]
    """A new API token."""

    label = StringField(
        "Label",
        [InputRequired(), Length(1, 80)],
        description="To recognise it later, such as “laptop” or “CI”.",
    )
    publisher = SelectField(
        "Publisher", description="Whose plugins it may upload. Without one: install receipts only."
    )
    days = SelectField("Valid for", choices=LIFETIMES, default="90")
    submit = SubmitField("Create token")
