-- Which commands a device was offered in its present session, and how often it was handed one without answering. Release
-- 1.1 neither reads nor writes these: what it hands out belongs to no session, and is not counted as unanswered.

-- Sessions that the device has begun: each Idle begins one.
alter table device add column session bigint not null default 0;

-- The session of its device in which the command was handed out or answered NotNow last.
alter table command add column tried_session bigint not null default 0;
-- Times it was handed out since its last readable answer.
alter table command add column unanswered integer not null default 0;
