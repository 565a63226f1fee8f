#pragma once

#include <string>
#include <string_view>

namespace ecmigrate::test {

/// The table that the `example` of every operation kind works on; 200 rows, some of them with nulls.
inline constexpr const char* k_example_table = R"sql(
create table users (id bigint generated always as identity primary key, full_name varchar(255) not null, email text not null unique,
  city text, street text, age int, created timestamptz not null default '2024-05-06 07:08:09+00');
create index users_created_idx on users (created);
insert into users (full_name, email, city, street, age)
  select 'Ann' || i || ' Lee' || i, 'user' || i || '@example.com', nullif('City ' || i % 7, 'City 0'), nullif('Street ' || i % 5, 'Street 0'),
    nullif(i % 90, 0) from generate_series(1, 200) i;
analyze users)sql";

/// A plan of one operation, written as in OperationKind::example.
inline std::string plan_of(std::string_view operation) {
  std::string plan = "name: example\noperations:\n";
  std::string margin = "  - ";
  while (!operation.empty()) {
    const std::size_t end = operation.find('\n');
    plan += margin + std::string(operation.substr(0, end)) + "\n";
    operation.remove_prefix(end == std::string_view::npos ? operation.size() : end + 1);
    margin = "    ";
  }
  return plan;
}

}  // namespace ecmigrate::test
