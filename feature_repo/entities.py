"""Who and what the features are about."""

from feast import Entity, ValueType

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING, description="A person who gets recommendations.")
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING, description="A thing that can be recommended.")
