// fails: E0451
use sampan::policy::Container;

pub fn forge() -> Container {
    Container { id: "1".to_owned(), name: "web".to_owned() }
}
