//! What an instance takes of its host, done once at the start of `serve` while it is still root, and given back by
//! `down`: an id, a block of host ids, its folders, keeper, the listening sockets; then the drop of all privileges.
