#include "../../src/pg/missing_right.hpp"

#include "support/catch.hpp"

namespace ecmigrate::test {

TEST_CASE("what grants a right is made of what the server says is missing") {
  CHECK(pg::how_to_grant("permission denied for schema app", "shop") ==
        "Have its owner run: grant usage on schema app to shop; Where a table, index or function is made there, also "
        "create.");
  CHECK(
      pg::how_to_grant("permission denied for table Orders", "Shop App") ==
      R"(Have its owner run: grant select, references on "Orders" to "Shop App"; Where the plan's own sql writes it, )"
      "also insert, update or delete.");
  CHECK(pg::how_to_grant("must be owner of table users", "shop") ==
        "Work as the owner of table users, or have its role granted: grant OWNER to shop;");
  CHECK(pg::how_to_grant("keine Berechtigung für Tabelle users", "shop") ==
        "shop lacks a right; docs/trust.md lists those that a migration needs.");
}

}  // namespace ecmigrate::test
