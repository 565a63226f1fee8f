#include "../../src/pg/missing_right.hpp"

#include "support/catch.hpp"

namespace ecmigrate::test {

TEST_CASE("what grants a right is made of what the server says is missing") {
  CHECK(pg::how_to_grant("permission denied for schema app", "shop") ==
        "Have its owner run: grant usage, create on schema app to shop;");
  CHECK(pg::how_to_grant("permission denied for table Orders", "Shop App") ==
        R"(Have its owner run: grant select, references on "Orders" to "Shop App";)");
  CHECK(pg::how_to_grant("must be owner of table users", "shop") ==
        "Work as the owner of table users, or have its role granted: grant OWNER to shop;");
  CHECK(pg::how_to_grant("keine Berechtigung für Tabelle users", "shop") ==
        "shop lacks a right; docs/trust.md lists those that a migration needs.");
}

}  // namespace ecmigrate::test
