//! Chains of others that drop what nobody accepted: Docker, ufw, firewalld, or an administrator's own.
//!
//! A packet must pass every base chain of a hook, and an accept in our table does not stop the others. So where one
//! drops by policy (or by a last rule that drops or rejects everything) two accepts stand at its head, for exactly our
//! bridges, with our table's name as comment. They open nothing: what enters a bridge is decided by our own `forward`
//! chain, which drops all that was not published. Rules of the old iptables (not iptables-nft) are not seen here.

use super::networks::Networks;
use crate::networks::NetworkError;
use crate::networks::nftables::{
    BaseChain, Expression, MetaKey, Transaction, Verdict, base_chains_on_forward, has_table, rules_with_comment,
};

/// With this the names of the tables of all instances begin; none of them drops by default.
const OUR_TABLES: &str = "sampan-";

impl Networks {
    /// Puts our accepts where they are missing.
    pub(super) fn open_foreign_chains(&mut self) -> Result<(), NetworkError> {
        if self.bridges.is_empty() {
            return Ok(());
        }
        let comment = self.table();
        let prefix = self.link_prefix();
        for chain in self.foreign_chains()?.into_iter().filter(|chain| chain.drops) {
            if !self.our_rules(&chain)?.is_empty() {
                continue;
            }
            let mut transaction = Transaction::new();
            for key in [MetaKey::OutName, MetaKey::InName] {
                // A comparison with fewer bytes than a name has compares its beginning.
                let expressions = [
                    Expression::Meta { key, register: 1 },
                    Expression::Equal { register: 1, value: prefix.as_bytes() },
                    Expression::Verdict(Verdict::Accept),
                ];
                transaction.first_rule(chain.family, &chain.table, &chain.name, &comment, &expressions);
            }
            let action = format!("accept our bridges in chain {} of table {}", chain.name, chain.table);
            transaction.commit(&mut self.filter).map_err(NetworkError::system(action))?;
        }
        Ok(())
    }

    /// Takes our accepts out again.
    pub(super) fn close_foreign_chains(&mut self) -> Result<(), NetworkError> {
        for chain in self.foreign_chains()? {
            let mut transaction = Transaction::new();
            for handle in self.our_rules(&chain)? {
                transaction.delete_rule(chain.family, &chain.table, &chain.name, handle);
            }
            let action = format!("take our rules out of chain {} of table {}", chain.name, chain.table);
            transaction.commit(&mut self.filter).map_err(NetworkError::system(action))?;
        }
        Ok(())
    }

    /// Removes our table.
    pub(super) fn remove_table(&mut self) -> Result<(), NetworkError> {
        let table = self.table();
        let failed = || NetworkError::system(format!("remove the nftables table {table}"));
        if !has_table(&mut self.filter, &table).map_err(failed())? {
            return Ok(());
        }
        let mut transaction = Transaction::new();
        transaction.delete_table(crate::networks::nftables::Family::Ipv4, &table);
        transaction.commit(&mut self.filter).map_err(failed())
    }

    fn foreign_chains(&mut self) -> Result<Vec<BaseChain>, NetworkError> {
        let mut chains =
            base_chains_on_forward(&mut self.filter).map_err(NetworkError::system("list nftables chains"))?;
        chains.retain(|chain| !chain.table.starts_with(OUR_TABLES));
        Ok(chains)
    }

    fn our_rules(&mut self, chain: &BaseChain) -> Result<Vec<u64>, NetworkError> {
        let comment = self.table();
        rules_with_comment(&mut self.filter, chain, &comment)
            .map_err(NetworkError::system(format!("list the rules of chain {} of table {}", chain.name, chain.table)))
    }
}
