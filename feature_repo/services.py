"""What each model takes."""

from event_views import item_activity, item_recent, user_activity, user_recent
from feast import FeatureService
from views import item_profile, user_profile

retrieval = FeatureService(name="retrieval", features=[user_activity[["history"]]])
ranking = FeatureService(
    name="ranking", features=[user_profile, user_activity, user_recent, item_profile, item_activity, item_recent]
)
