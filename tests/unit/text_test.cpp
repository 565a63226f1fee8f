#include "ecmigrate/base/text.hpp"

#include <array>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/base/utf8.hpp"
#include "ecmigrate/pg/connection.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;
using namespace std::chrono_literals;

TEST_CASE("identifiers are quoted whole, and refused where the server would change them") {
  CHECK(quote_identifier("users") == "\"users\"");
  CHECK(quote_identifier("Customer \"Data\"") == "\"Customer \"\"Data\"\"\"");
  CHECK_THROWS_AS(quote_identifier(""), Error);
  CHECK_THROWS_AS(quote_identifier(std::string("a\0b", 3)), Error);
  CHECK_NOTHROW(quote_identifier(std::string(63, 'x')));
  CHECK_THROWS_AS(quote_identifier(std::string(64, 'x')), Error);
  CHECK(QualifiedName{"public", "users"}.display() == "users");
  CHECK(QualifiedName{"crm", "users"}.display() == "crm.users");
}

TEST_CASE("literals are safe under both settings of standard_conforming_strings") {
  CHECK(quote_literal("O'Neil") == "'O''Neil'");
  CHECK(quote_literal("a\\'b") == "E'a\\\\''b'");
}

TEST_CASE("a near word is suggested, a far one is not") {
  const std::array<std::string_view, 3> words{"column", "table", "into"};
  CHECK(nearest_word("colum", words) == "column");
  CHECK(nearest_word("tabel", words) == "table");
  CHECK_FALSE(nearest_word("banana", words).has_value());
}

TEST_CASE("a number without a unit is no duration") {
  CHECK(parse_duration("50ms") == 50ms);
  CHECK(parse_duration("1h30m") == 90min);
  CHECK_FALSE(parse_duration("50").has_value());
  CHECK_FALSE(parse_duration("").has_value());
  CHECK_FALSE(parse_duration("s").has_value());
  CHECK_FALSE(parse_duration("5 s").has_value());
  CHECK_FALSE(parse_duration("5d").has_value());
  CHECK_FALSE(parse_duration("99999999999h99999999999h").has_value());
}

TEST_CASE("figures are written for people") {
  CHECK(with_thousands(1'234'567) == "1,234,567");
  CHECK(with_thousands(-1'000) == "-1,000");
  CHECK(with_thousands(999) == "999");
  CHECK(format_milliseconds(1.94) == "1.9 ms");
  CHECK(format_milliseconds(480) == "480 ms");
  CHECK(format_milliseconds(12'340) == "12.3 s");
  CHECK(format_milliseconds(125'000) == "2m05s");
  CHECK(format_milliseconds(11'220'000) == "3h07m");
  CHECK(format_bytes(512) == "512 B");
  CHECK(format_bytes(38.0 * 1024 * 1024) == "38.0 MB");
}

TEST_CASE("text is never cut inside a character") {
  CHECK(truncate_utf8("Zoë", 3) == "Zo");
  CHECK(truncate_utf8("Zoë", 4) == "Zoë");
  CHECK(abbreviate("abcdef", 3) == "abc…");
}

TEST_CASE("bytes that are no characters give way") {
  CHECK(as_utf8("Zoë") == "Zoë");
  CHECK(as_utf8("Jos\xe9") == "Jos?");
  CHECK(as_utf8("\xe9\xc3\xa9!") == "?é!");
  CHECK(as_utf8("cut \xc3") == "cut ?");
}

TEST_CASE("every outcome has its own name and exit code") {
  for (const OutcomeRow& row : k_outcomes) {
    CHECK(outcome_row(row.outcome).name == row.name);
    for (const OutcomeRow& other : k_outcomes) {
      CHECK((&row == &other || (row.exit_code != other.exit_code && row.name != other.name)));
    }
  }
}

TEST_CASE("rates are amounts a second") {
  CHECK(parse_rate("64MB/s") == 64.0 * 1024 * 1024);
  CHECK(parse_rate("20000/s") == 20'000);
  CHECK(parse_rate("0/s") == 0);
  CHECK_FALSE(parse_rate("64MB").has_value());
  CHECK_FALSE(parse_rate("MB/s").has_value());
}

TEST_CASE("a word is quoted as a shell needs it") {
  CHECK(shell_quote("plans/split-full-name.yaml") == "plans/split-full-name.yaml");
  CHECK(shell_quote("my plan.yaml") == "'my plan.yaml'");
  CHECK(shell_quote("it's") == "'it'\\''s'");
  CHECK(shell_quote("") == "''");
  CHECK(shell_quote("$(rm -rf x)") == "'$(rm -rf x)'");
}

TEST_CASE("a connection string is shown without its password, and what cannot be read is not shown at all") {
  using pg::without_password;
  CHECK(without_password("shop") == "shop");
  CHECK(without_password("postgres://app@db1/shop") == "postgres://app@db1/shop");
  CHECK(without_password("host=db1 dbname='my shop'") == "host=db1 dbname='my shop'");
  for (const char* secret :
       {"postgres://app:s3cret@db1/shop", "host=db1 password=s3cret user=app dbname=shop",
        "postgres://app@db1/shop?password=s3cret", "host=db1 sslpassword='s3cret'", "postgres://app:s3cret%@db1/shop",
        "password=s3cret host", "postgres://app:half@s3cret@db1/shop", "postgres://app:half/s3cret@db1/shop",
        "postgres:/app:s3cret@db1/shop"}) {
    INFO(secret << " became " << without_password(secret));
    CHECK(without_password(secret).find("s3cret") == std::string::npos);
  }
  CHECK(without_password("postgres://app:s3cret@db1:5433/shop") == "user=app dbname=shop host=db1 port=5433");
}
