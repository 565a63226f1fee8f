#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/base/quote.hpp"

namespace ecmigrate {

/// Facts of the server's catalog at one moment. Plain data; SQL texts in it are schema-qualified.

/// What the server does on behalf of a type that is a domain.
struct DomainFacts {
  std::string over;  ///< the type under it, with its modifier: `character varying(5)`; empty where it is no domain
  bool has_default = false;
};

struct Column {
  std::string name;
  std::string type;        ///< with its modifier, as SQL: `character varying(255)`
  std::string base_type;   ///< without modifier: `character varying`
  int type_modifier = -1;  ///< pg_attribute.atttypmod
  std::string collation;   ///< as SQL, only where it is not the type's default
  /// Of a domain with constraints: the type under it, and the collation where that is not this type's default. A column
  /// of the domain cannot be added without a rewrite of the table, one of the type can. Else empty.
  std::string plain_type;
  std::string plain_collation;
  DomainFacts domain;
  bool costly_in_place = false;  ///< the server would rewrite or rebuild something if its type changed in place
  /// Values that are equal by the type's operator are the same value: no lost trailing zeros, no case folding.
  bool equality_is_identity = true;
  bool not_null = false;
  std::optional<std::string> default_sql;
  bool identity = false;
  bool generated = false;
  std::optional<std::string> comment;
  int statistics_target = -1;
  std::string options;  ///< as in SET (…): `n_distinct=-0.5`
  /// Privileges granted on this very column: grantee as SQL, privilege ("SELECT").
  struct Grant {
    std::string grantee;
    std::string privilege;
    bool grantable = false;
  };
  std::vector<Grant> grants;
  std::optional<std::string> owned_sequence;  ///< of a serial column, as SQL
  std::vector<QualifiedName> sequences;       ///< that go with the column: of a serial or an identity
};

/// A type that a plan writes, as the server reads it.
struct TypeFacts {
  std::string type;  ///< as Column::type
  std::string base_type;
  int type_modifier = -1;
  bool equality_is_identity = true;
  std::string error;  ///< why the server does not take it, or empty
  DomainFacts domain{};
};

struct Index {
  std::string name;
  std::vector<std::string> columns;  ///< every column it reads: keys, INCLUDE, expressions, predicate
  std::string tail;                  ///< of its CREATE INDEX: ` USING btree (…) …`
  bool unique = false;
  bool primary = false;
  bool replica_identity = false;
  bool clustered = false;
  std::string constraint;    ///< the constraint it backs, or empty
  char constraint_type = 0;  ///< 'p', 'u', 'x' as pg_constraint.contype
  bool deferrable = false;
  bool initially_deferred = false;
  std::optional<std::string> comment = std::nullopt;  ///< of the constraint where there is one
  bool valid = true;                        ///< false: what a failed CREATE INDEX CONCURRENTLY left, or one at work
  std::string tablespace = {};              ///< where it is not the database's own
  bool tablespace_allowed = true;           ///< the role may create in it
  std::vector<std::string> needed_by = {};  ///< why DROP INDEX would fail or do harm, for people
};

struct Constraint {
  std::string name;
  char type = 0;  ///< 'c', 'f', 'p', 'u', 'x', 'n', 't' as pg_constraint.contype
  std::vector<std::string> columns;
  std::string definition;
  bool validated = true;
  QualifiedName references;  ///< of a foreign key
  bool no_inherit = false;
  std::optional<std::string> comment = std::nullopt;
  std::vector<std::string> referenced_columns = {};  ///< of a foreign key, in the order of its own
  std::string matching = {};                         ///< of a foreign key: ` match full on update cascade`
  std::string on_delete = {};                        ///< of a foreign key: ` on delete set null`
  std::vector<std::string> set_columns = {};         ///< of a foreign key: what that sets, where it is not all columns
  std::string deferral = {};                         ///< of a foreign key: ` deferrable initially deferred`
  bool enforced = true;
};

struct Trigger {
  std::string name;
  bool before_row = false;
  bool on_insert_or_update = false;
  bool on_update = false;
  bool fires_as_replica = false;            ///< ENABLE ALWAYS or REPLICA: also under session_replication_role = replica
  std::vector<std::string> update_of = {};  ///< the columns of UPDATE OF
  std::vector<std::string> watched = {};    ///< columns that its definition names: UPDATE OF and WHEN
  std::string language = {};                ///< of its function
  std::string source = {};                  ///< of its function, where it has text
  std::string arguments = {};               ///< as the catalog keeps them, one after the other
};

/// A rule on the table, with the table's columns that it names.
struct Rule {
  std::string name;
  std::vector<std::string> columns;
  bool on_update = false;
  bool instead = false;
};

/// A function of the database that mentions the table.
struct Function {
  std::string signature;
  std::string source;
};

/// A foreign key of another table that points here.
struct IncomingForeignKey {
  QualifiedName from;
  std::string name;
  std::vector<std::string> columns;  ///< ours
};

struct Table {
  QualifiedName name;
  bool partitioned = false;
  bool is_partition = false;
  std::vector<Column> columns;
  std::vector<Index> indexes;
  std::vector<Constraint> constraints;
  std::vector<Trigger> triggers;
  std::vector<IncomingForeignKey> incoming;
  std::vector<std::string> partition_key;  ///< columns that say in which partition, at any level, a row lies
  std::vector<Rule> rules;
  std::vector<Function> functions;    ///< that mention it and do not give its row type
  std::vector<QualifiedName> leaves;  ///< where the rows are: the table itself, or the leaves of its partitions
  bool inherits = false;              ///< has children by INHERITS, or is one: triggers and ONLY do not follow those
  bool typed = false;                 ///< CREATE TABLE … OF: the type alone says which columns there are
  bool foreign_partitions = false;    ///< has leaves that are not ordinary tables
  bool row_security_applies = false;  ///< row security would hide rows from the runner
  bool distributed = false;           ///< by Citus: the rows are in shards, and the table itself is empty
  bool owned = false;                 ///< the runner's role may alter it
  bool subscribed = false;            ///< the target of a logical subscription
  bool published = false;             ///< in a publication that sends all its columns
  bool updates_refused = false;       ///< published without replica identity: the server refuses UPDATE
  bool may_create_beside = true;      ///< the role has CREATE on the table's schema, as every new index needs

  [[nodiscard]] const Column* find_column(std::string_view column) const {
    for (const Column& candidate : columns) {
      if (candidate.name == column) {
        return &candidate;
      }
    }
    return nullptr;
  }
};

struct Catalog {
  int server_version = 0;  ///< as PQserverVersion: 150018
  std::map<QualifiedName, Table> tables;
  std::map<QualifiedName, QualifiedName> table_of_index;  ///< for the indexes that plans name alone
  std::map<std::string, TypeFacts> types;                 ///< by the plan's spelling
  std::vector<std::string> tables_in_schema;              ///< for "did you mean"
  std::map<std::string, std::string> no_tables{};         ///< what else has a name there: "a view", "a sequence"

  [[nodiscard]] const Table* find_table(const QualifiedName& name) const {
    const auto at = tables.find(name);
    return at == tables.end() ? nullptr : &at->second;
  }
};

}  // namespace ecmigrate
