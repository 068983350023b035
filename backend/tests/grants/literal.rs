// fails: E0451
use std::marker::PhantomData;

use sampan::auth::Caller;
use sampan::policy::action::List;
use sampan::policy::{Granted, Users};

pub fn forge(caller: Caller) -> Granted<List, Users> {
    Granted { caller, place: (), noun: Users, action: PhantomData }
}
