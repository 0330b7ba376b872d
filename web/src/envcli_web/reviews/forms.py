"""The review form."""

from flask_wtf import FlaskForm
from wtforms import RadioField, SubmitField, TextAreaField
from wtforms.validators import InputRequired, Length

from envcli_web.reviews.services import MAX_BODY

CHOICES = [(5, "5 stars"), (4, "4 stars"), (3, "3 stars"), (2, "2 stars"), (1, "1 star")]


class ReviewForm(FlaskForm):  # type: ignore[misc]
    """Stars and a text."""

    stars = RadioField("Rating", [InputRequired("Choose 1 to 5 stars")], choices=CHOICES, coerce=int)
    body = TextAreaField(
        "Review", [Length(max=MAX_BODY)], description="What works, what does not? Plain text."
    )
    submit = SubmitField("Save review")
