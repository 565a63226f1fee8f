#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// Empty temporary copies of tables, to try statements on: with indexes, constraints, owned sequences and, of a
/// partitioned table, one partition that has the own indexes of them all. Without triggers, rules, policies and
/// publications. They are made in the caller's transaction, which he rolls back; what they are made from is locked by
/// nothing more than a read.
class TableClones {
 public:
  /// `tables` are copied whole; `neighbours`, and what foreign keys of the tables point at, only as far as a foreign
  /// key needs them.
  TableClones(pg::Connection& connection, const std::vector<QualifiedName>& tables,
              const std::vector<QualifiedName>& neighbours);

  /// From now on statements about this index, which they make, are aimed at the copy's.
  void expect_index(const QualifiedName& index);
  /// The statement, with the copies in the tables' place.
  [[nodiscard]] std::string aimed(std::string sql) const;

  /// Where a table's or an index's rows lie, and how often a table was read from end to end in this transaction.
  struct Stored {
    std::string name;  ///< of a partition's index: that of the table's
    bool index = false;
    std::string file;
    std::int64_t scans = 0;
  };
  [[nodiscard]] std::vector<Stored> stored();

 private:
  void copy(const QualifiedName& table);
  void copy_neighbour(const QualifiedName& table);
  void copy_indexes(const QualifiedName& table, bool neighbour);
  void copy_constraints(const QualifiedName& table, const std::string& types, bool neighbour);
  void copy_sequences(const QualifiedName& table);
  void copy_partition(const QualifiedName& table, char strategy);
  [[nodiscard]] std::vector<QualifiedName> referenced(const QualifiedName& table);
  /// The copy's name, which is the table's unless another's copy has it.
  std::string clone_name(const QualifiedName& table);
  [[nodiscard]] const std::string& sql_of(const QualifiedName& table) const { return m_clones.at(table); }

  pg::Connection& m_connection;
  std::map<QualifiedName, std::string> m_clones;  ///< as SQL
  std::map<std::string, std::string> m_replaced;  ///< in statements: text of a name, and what stands for it
  std::map<std::string, std::string> m_unquoted;  ///< the same, as the server prints a name after REFERENCES
  int m_partitions = 0;
};

}  // namespace ecmigrate
