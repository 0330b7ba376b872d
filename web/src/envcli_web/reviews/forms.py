"""The review form."""

from flask_wtf import FlaskForm
from wtforms import RadioField, SubmitField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from envcli_web.reviews.services import MAX_BODY

CHOICES = [SelectChoice(str(stars), f"{stars} star{'s' if stars > 1 else ''}") for stars in (5, 4, 3, 2, 1)]


class ReviewForm(FlaskForm):  # type: ignore[misc]
    """Stars and a text."""

    stars = RadioField("Rating", [InputRequired("Choose 1 to 5 stars")], choices=CHOICES, coerce=int)
    body = TextAreaField(
        "Review", [Length(max=MAX_BODY)], description="What works, what does not? Plain text."
    )
    submit = SubmitField("Save review")
