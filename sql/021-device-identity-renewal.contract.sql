-- What a delivery may be and why, the code's types say. A check that names them keeps a later release from writing what it adds
-- between the rise of the feature level and its own contraction.

alter table delivery drop constraint delivery_item_check, drop constraint delivery_cause_check;
