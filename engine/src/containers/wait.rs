//! Waiting for an end.

use super::{ContainerError, Containers, State, WaitCondition};
use crate::owner::Owner;

/// Said for an end whose status nobody could learn; no process can end with it.
const UNKNOWN: i32 = -1;

impl Containers {
    /// Its exit code, once the condition holds; -1 when nobody could learn it. Dropping the future ends the wait. The
    /// registration is made before the future first yields, so a caller may poll it once, then start the container.
    pub async fn wait(&self, owner: &Owner, reference: &str, condition: WaitCondition) -> Result<i32, ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let mut seen = slot.watch();
        let before = seen.borrow_and_update().clone();
        if condition == WaitCondition::NotRunning
            && !before.container.state.is_alive()
            && before.container.state != State::Restarting
        {
            let run = &before.container.run;
            return Ok(run.exit_code.unwrap_or(if run.finished_at_ns.is_some() { UNKNOWN } else { 0 }));
        }
        let held =
            seen.wait_for(|now| now.removed || condition != WaitCondition::Removed && now.exits != before.exits).await;
        // The slot, and with it the sender, lives as long as this wait.
        let code = held.map(|now| now.code.or(now.container.run.exit_code)).ok().flatten();
        Ok(code.unwrap_or(UNKNOWN))
    }
}
