#include "application.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <map>
#include <optional>
#include <random>
#include <string_view>
#include <thread>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate::traffic {

namespace {

using SteadyClock = std::chrono::steady_clock;
using Values = std::vector<std::optional<std::string>>;

volatile std::sig_atomic_t g_stop = 0;

/// What a version of the application knows of the table. Each version owns half of the rows that exist, so that it knows
/// what they must hold in the end.
struct Shape {
  std::vector<std::string> columns;
  std::int64_t owns;  ///< ids with this remainder by 2
};

Shape shape_of(const std::string& name) {
  return name == "old" ? Shape{{"full_name"}, 0} : Shape{{"first_name", "last_name"}, 1};
}

/// What the server acknowledged for a row.
struct Written {
  std::string email;
  Values values;         ///< by column of the shape; nothing where this version never wrote the column
  bool deleted = false;
};

/// Of full_name, in characters.
constexpr std::size_t k_longest_name = 255;

bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

std::string first_characters(const std::string& text, std::size_t most) {
  std::size_t left = most;
  const auto end = std::ranges::find_if(text, [&](char byte) { return begins_character(byte) && left-- == 0; });
  return {text.begin(), end};
}

class Random {
 public:
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(m_engine); }

  Values values(const Shape& shape) {
    static constexpr std::array<const char*, 10> k_given{"Ann", "Anna Maria", "Zoë", "Łukasz", "Nguyễn", "美咲", "Mary  Ann", "J.", "Thandiwe", "Юлия"};
    static constexpr std::array<const char*, 8> k_family{"Lee", "O'Neil", "van 't Hoff", "García Márquez", "Okafor", "Smith-Jones", "", "Østergård"};
    const std::string given = fmt::format("{}{}", k_given[below(k_given.size())], below(1000));
    const std::string family = k_family[below(k_family.size())];
    if (shape.columns.size() == 2) {
      return {given, family};
    }
    return {family.empty() ? given : given + " " + family};
  }

 private:
  std::mt19937_64 m_engine{std::random_device{}()};
};

class Application {
 public:
  explicit Application(const TrafficOptions& options)
      : m_options(options), m_shape(shape_of(options.shape)), m_connection({options.dbname, "shop, " + options.shape + " version", nullptr}) {
    for (std::size_t i = 0; i < m_shape.columns.size(); ++i) {
      m_column_list += (i == 0 ? "" : ", ") + m_shape.columns[i];
      m_parameter_list += fmt::format("{}${}", i == 0 ? "" : ", ", i + 1);
    }
  }

  TrafficReport run() {
    wait_for_column();
    m_seeded = m_connection.query("select coalesce(max(id), 0) from users where email like '%@example.com'").integer(0, 0);
    const auto begin = SteadyClock::now();
    auto next = begin;
    while (g_stop == 0 && (m_options.seconds <= 0 || SteadyClock::now() - begin < std::chrono::duration<double>(m_options.seconds))) {
      request();
      next = std::max(SteadyClock::now(), next + std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(1 / m_options.rate)));
      std::this_thread::sleep_until(next);
    }
    return finish();
  }

  TrafficReport update_every_user(Update update) {
    const pg::Rows ids = m_connection.query("select id from users order by id");
    for (int row = 0; row < ids.size(); ++row) {
      count_request([&] { make_update(update, ids.integer(row, 0)); });
    }
    return finish();
  }

 private:
  TrafficReport finish() {
    try {
      check_everything();
    } catch (const Error& error) {
      ++m_report.failed;
      note(fmt::format("reading everything back: {}", error.what()));
    }
    return std::move(m_report);
  }

  void wait_for_column() {
    while (g_stop == 0 && !m_options.wait_for_column.empty()) {
      const pg::Rows found = m_connection.query(
          "select from pg_attribute where attrelid = 'users'::regclass and attname = $1 and not attisdropped", {m_options.wait_for_column});
      if (found.size() == 1) {
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  /// A statement as the application waits for it.
  pg::Rows timed(const std::string& sql, const Values& parameters = {}) {
    const auto begin = SteadyClock::now();
    const auto took = [&] { m_report.milliseconds.push_back(std::chrono::duration<double, std::milli>(SteadyClock::now() - begin).count()); };
    try {
      pg::Rows rows = m_connection.query(sql, parameters);
      took();
      return rows;
    } catch (...) {
      took();
      throw;
    }
  }

  void request() {
    static constexpr std::array<void (Application::*)(), 10> k_mix{
        &Application::insert,        &Application::insert, &Application::any_update, &Application::any_update, &Application::any_update,
        &Application::any_update,    &Application::upsert, &Application::read,       &Application::read,       &Application::remove};
    count_request([this] { (this->*k_mix[m_random.below(k_mix.size())])(); });
  }

  template <typename Act>
  void count_request(const Act& act) {
    ++m_report.requests;
    m_writing = 0;
    try {
      act();
    } catch (const Error& error) {
      ++m_report.failed;
      note(error.what());
      recover(error);
    }
  }

  void recover(const Error& error) {
    const auto* sql_error = dynamic_cast<const pg::SqlError*>(&error);
    try {
      if (sql_error != nullptr && sql_error->connection_lost()) {
        m_ledger.erase(m_writing);  // whether the server did it is unknown
        m_connection.reconnect();
      } else {
        m_connection.query("rollback");
      }
    } catch (const Error&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the next request tries again, and counts
    }
  }

  /// A row of the table as the old application left it, or one that this run has written.
  std::int64_t some_row() {
    if (m_own.empty() || (m_seeded > 1 && m_random.below(3) > 0)) {
      const auto half = static_cast<std::size_t>(std::max<std::int64_t>(1, m_seeded / 2));
      return 2 * static_cast<std::int64_t>(m_random.below(half)) + (m_shape.owns == 0 ? 2 : 1);
    }
    return m_own[m_random.below(m_own.size())];
  }

  Written& written(std::int64_t id) {
    Written& entry = m_ledger[id];
    entry.values.resize(m_shape.columns.size());
    return entry;
  }

  void insert() {
    const Values values = m_random.values(m_shape);
    const std::string email = fmt::format("{}-{}-{}@traffic.example", m_options.shape, m_connection.backend_pid(), ++m_emails);
    Values parameters = values;
    parameters.emplace_back(email);
    const std::int64_t id = timed(fmt::format("insert into users ({}, email, country) values ({}, ${}, 'DE') returning id", m_column_list,
                                              m_parameter_list, parameters.size()), parameters).integer(0, 0);
    written(id) = {email, values};
    m_own.push_back(id);
  }

  void any_update() { make_update(k_updates[m_random.below(k_updates.size())], some_row()); }

  void make_update(Update update, std::int64_t id) {
    switch (update) {
      case Update::name:
        return update_name(id);
      case Update::first_column:
        return update_column(id, 0);
      case Update::last_column:
        return update_column(id, m_shape.columns.size() - 1);
      case Update::other_column:
        return update_other_column(id);
      case Update::taken_back:
        return take_back(id);
    }
  }

  void update_name(std::int64_t id) {
    m_writing = id;
    Values parameters = m_random.values(m_shape);
    const Values values = parameters;
    parameters.emplace_back(std::to_string(m_writing));
    const auto changed = timed(fmt::format("update users set ({}) = row({}) where id = ${}", m_column_list, m_parameter_list, parameters.size()), parameters);
    acknowledge(changed, values);
  }

  /// For the new version: one part of the name, of a row that may not be filled yet.
  void update_column(std::int64_t id, std::size_t column) {
    Values values(m_shape.columns.size());
    values[column] = m_random.values(m_shape)[column];
    if (values.size() == 2) {
      values[column] = first_characters(*values[column], room_beside(id, 1 - column));
    }
    m_writing = id;
    acknowledge(timed(fmt::format("update users set {} = $1 where id = $2", m_shape.columns[column]), {values[column], std::to_string(m_writing)}), values);
  }

  /// How long a part of the name may be beside the other one. The name as a whole has to fit the column of the old
  /// version until contract, so the form takes no more than that. A name that waits for the backfill is in the old column
  /// alone; asked for as JSON, as this version goes on when that column is gone.
  std::size_t room_beside(std::int64_t id, std::size_t other) {
    const pg::Rows rows = timed("select first_name, last_name, to_jsonb(users) ->> 'full_name' from users where id = $1", {std::to_string(id)});
    if (rows.size() != 1) {
      return k_longest_name;  // the update will find no row either, and tell
    }
    std::array<std::string, 2> parts{rows.text(0, 0), rows.text(0, 1)};
    if (rows.is_null(0, 0) && rows.is_null(0, 1)) {
      const std::string whole = rows.text(0, 2);
      const std::size_t space = std::min(whole.find(' '), whole.size());
      parts = {whole.substr(0, space), whole.substr(std::min(space + 1, whole.size()))};
    }
    const std::size_t taken = characters(parts[other]) + 1;
    return k_longest_name - std::min(k_longest_name, taken);
  }

  void update_other_column(std::int64_t id) {
    m_writing = id;
    acknowledge(timed("update users set last_order_at = now() where id = $1", {std::to_string(m_writing)}), Values(m_shape.columns.size()));
  }

  void acknowledge(const pg::Rows& changed, const Values& values) {
    Written& entry = written(m_writing);
    if (changed.affected() != 1) {
      lose(m_writing, "an update found no row");
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i]) {
        entry.values[i] = values[i];
      }
    }
  }

  void upsert() {
    if (m_own.empty()) {
      return insert();
    }
    m_writing = m_own[m_random.below(m_own.size())];
    const Values values = m_random.values(m_shape);
    Values parameters = values;
    parameters.emplace_back(written(m_writing).email);
    std::vector<std::string> excluded;
    for (const std::string& column : m_shape.columns) {
      excluded.push_back(fmt::format("{0} = excluded.{0}", column));
    }
    acknowledge(timed(fmt::format("insert into users ({}, email, country) values ({}, ${}, 'FR') on conflict (email) do update set {}", m_column_list,
                                  m_parameter_list, parameters.size(), join(excluded, ", ")), parameters), values);
  }

  void read() {
    if (m_ledger.empty()) {
      return;
    }
    auto entry = m_ledger.lower_bound(some_row());
    entry = entry == m_ledger.end() ? m_ledger.begin() : entry;
    const pg::Rows rows = timed(fmt::format("select id, {} from users where id = $1", m_column_list), {std::to_string(entry->first)});
    compare(entry->first, entry->second, rows, rows.size() == 1 ? 0 : -1);
  }

  void remove() {
    constexpr std::size_t k_keep = 20;
    if (m_own.size() < k_keep) {
      return insert();
    }
    const std::size_t at = m_random.below(m_own.size());
    m_writing = m_own[at];
    timed("delete from users where id = $1", {std::to_string(m_writing)});
    written(m_writing).deleted = true;
    m_own[at] = m_own.back();
    m_own.pop_back();
  }

  /// A customer who changes his mind: nothing of it may be left.
  void take_back(std::int64_t id) {
    Values parameters = m_random.values(m_shape);
    parameters.emplace_back(std::to_string(id));
    timed("begin");
    timed(fmt::format("update users set ({}) = row({}) where id = ${}", m_column_list, m_parameter_list, parameters.size()), parameters);
    timed("rollback");
  }

  void note(std::string text) {
    constexpr std::size_t k_most_errors = 5;
    const bool known = std::ranges::find(m_report.errors, text) != m_report.errors.end();
    if (!known && m_report.errors.size() < k_most_errors) {
      m_report.errors.push_back(std::move(text));
    }
  }

  void lose(std::int64_t id, const std::string& how) {
    ++m_report.lost;
    note(fmt::format("lost write: row {}: {}", id, how));
  }

  void compare(std::int64_t id, const Written& expected, const pg::Rows& rows, int row) {
    if ((row < 0) != expected.deleted) {
      return lose(id, expected.deleted ? "deleted, but there again" : "gone");
    }
    for (std::size_t i = 0; row >= 0 && i < expected.values.size(); ++i) {
      const auto found = rows.maybe(row, static_cast<int>(i) + 1);
      if (expected.values[i] && found != expected.values[i]) {
        lose(id, fmt::format("{} is `{}`, acknowledged was `{}`", m_shape.columns[i], found.value_or("null"), *expected.values[i]));
      }
    }
  }

  /// Reads back every row that this version has written.
  void check_everything() {
    std::string ids;
    for (const auto& [id, expected] : m_ledger) {
      ids += fmt::format("{}{}", ids.empty() ? "" : ",", id);
    }
    const pg::Rows rows = m_connection.query(fmt::format("select id, {} from users where id = any ($1::bigint[])", m_column_list), {"{" + ids + "}"});
    std::map<std::int64_t, int> row_of;
    for (int row = 0; row < rows.size(); ++row) {
      row_of[rows.integer(row, 0)] = row;
    }
    for (const auto& [id, expected] : m_ledger) {
      const auto found = row_of.find(id);
      compare(id, expected, rows, found == row_of.end() ? -1 : found->second);
    }
    m_report.checked = static_cast<std::int64_t>(m_ledger.size());
  }

  const TrafficOptions& m_options;
  Shape m_shape;
  pg::Connection m_connection;
  std::string m_column_list;
  std::string m_parameter_list;
  Random m_random;
  TrafficReport m_report;
  std::map<std::int64_t, Written> m_ledger;
  std::vector<std::int64_t> m_own;  ///< rows that this run inserted and has not deleted
  std::int64_t m_seeded = 0;        ///< rows that were there before
  std::int64_t m_emails = 0;
  std::int64_t m_writing = 0;       ///< row of the running request
};

}  // namespace

TrafficReport run_application(const TrafficOptions& options) {
  return Application(options).run();
}

TrafficReport update_every_user(const TrafficOptions& options, Update update) {
  return Application(options).update_every_user(update);
}

void stop() {
  g_stop = 1;
}

}  // namespace ecmigrate::traffic
