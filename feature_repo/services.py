"""What each model takes."""

from feast import FeatureService
from views import item_activity, item_profile, user_activity, user_profile

retrieval = FeatureService(name="retrieval", features=[user_activity[["history"]]])
ranking = FeatureService(name="ranking", features=[user_profile, user_activity, item_profile, item_activity])
