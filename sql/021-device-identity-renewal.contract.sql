-- Deliveries that 1.1 does not know, now that none of it is left. Not validated: what is there passed the narrower checks.

alter table delivery drop constraint delivery_item_check, drop constraint delivery_cause_check;
alter table delivery
  add constraint delivery_item_check check (item in ('it-policy', 'service-books', 'synchronization', 'device-identity')) not valid,
  add constraint delivery_cause_check
    check (cause in ('move', 'policy-change', 'service-change', 'activation', 'manual', 'retry', 'renewal')) not valid;
