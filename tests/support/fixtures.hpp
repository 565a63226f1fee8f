#pragma once

namespace ecmigrate::test {

/// 3,002 users, two of them with unusual names.
inline constexpr const char* k_users = R"(
create table users (id bigint generated always as identity primary key, full_name varchar(255) not null, email text not null unique);
insert into users (full_name, email) select 'Ann' || i || ' Lee' || i, 'user' || i || '@example.com' from generate_series(1, 3000) i;
insert into users (full_name, email) values ('Cher', 'cher@example.com'), ('Zoë O''Neil', 'zoe@example.com');
analyze users)";

/// The plan of the README.
inline constexpr const char* k_split = R"yaml(
name: split
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - { name: first_name, type: text, nullable: false, up: "split_part(full_name, ' ', 1)" }
        - { name: last_name, type: text, nullable: false, up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)" }
      down: "concat_ws(' ', first_name, nullif(last_name, ''))"
)yaml";

}  // namespace ecmigrate::test
