#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "ecmigrate/base/quote.hpp"
#include "faults/faulty_run.hpp"
#include "support/catch.hpp"

namespace ecmigrate::test {

namespace {

using std::chrono::milliseconds;

/// What a loaded machine may add to the longest try at a lock, by the client's clock; locks_test looks closer. A lock
/// that is kept, or a lock wait without a limit, would take far longer.
constexpr milliseconds k_slack{2000};

/// Of every client, in the middle of the backfill.
constexpr int k_requests = 20;

/// The value that the application means, whichever shape it is written in: for one column only `first` is used.
struct Fact {
  std::string first;
  std::string last;
  bool null = false;
  friend bool operator==(const Fact&, const Fact&) = default;
};

/// A migration and how the two versions of its application write and read.
struct Workload {
  std::string setup;
  std::string plan;
  std::vector<Fact> facts;
  std::vector<std::string> old_columns;
  std::vector<std::string> new_columns;
  std::vector<std::string> (*old_values)(const Fact&);  ///< as SQL literals
  std::vector<std::string> (*new_values)(const Fact&);
  Fact (*as_up_reads)(const Fact&);  ///< what the new version gets to see of what the old one wrote
};

std::string literal(const Fact& fact, const std::string& text) {
  return fact.null ? "null" : quote_literal(text);
}

std::vector<std::string> joined_name(const Fact& fact) {
  return {literal(fact, fact.last.empty() ? fact.first : fact.first + " " + fact.last)};
}

std::vector<std::string> split_name(const Fact& fact) {
  return {literal(fact, fact.first), literal(fact, fact.last)};
}

/// Everything behind the first space is the last name, as `up` of the plan has it.
Fact split_at_first_space(const Fact& fact) {
  const std::string whole = fact.last.empty() ? fact.first : fact.first + " " + fact.last;
  const std::size_t space = whole.find(' ');
  return space == std::string::npos ? Fact{whole, ""} : Fact{whole.substr(0, space), whole.substr(space + 1)};
}

Fact unchanged(const Fact& fact) {
  return fact;
}

std::vector<std::string> single_value(const Fact& fact) {
  return {literal(fact, fact.first)};
}

const Workload k_split_names{
    R"(create table t (id integer primary key, full_name text not null, hits integer not null default 0, note text default repeat('n', 100));
       insert into t (id, full_name) select i, 'Seed Row' || i from generate_series(1, 4000) i; analyze t)",
    R"yaml(
name: workload
operations:
  - split_column:
      table: t
      column: full_name
      into:
        - { name: first_name, type: text, nullable: false, up: "split_part(full_name, ' ', 1)" }
        - { name: last_name, type: text, nullable: false, up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)" }
      down: "concat_ws(' ', first_name, nullif(last_name, ''))"
)yaml",
    {{"Cher", ""},
     {"Anna Maria", "Lee"},
     {"Ann", "van Lee"},
     {"Zoë", "Ærøskøbing"},
     {"", ""},
     {"李", "小龙"},
     {"O'Neil", "\\x"}},
    {"full_name"},
    {"first_name", "last_name"},
    joined_name,
    split_name,
    split_at_first_space};

const Workload k_renamed{
    R"(create table t (id integer primary key, email text, hits integer not null default 0, note text default repeat('n', 100));
       insert into t (id, email) select i, 'seed' || i from generate_series(1, 4000) i; analyze t)",
    "name: workload\noperations:\n  - rename_column: { table: t, from: email, to: mail }\n",
    {{"a@b", ""}, {"", ""}, {"", "", true}, {"zoë@ü", ""}},
    {"email"},
    {"mail"},
    single_value,
    single_value,
    unchanged};

const Workload k_widened{
    R"(create table t (id integer primary key, amount integer, hits integer not null default 0, note text default repeat('n', 100));
       create index t_amount on t (amount);
       insert into t (id, amount) select i, i from generate_series(1, 4000) i; analyze t)",
    "name: workload\noperations:\n  - alter_column: { table: t, column: amount, name: total, type: bigint }\n",
    {{"0", ""}, {"-5", ""}, {"", "", true}, {"2147483647", ""}},
    {"amount"},
    {"total"},
    single_value,
    single_value,
    unchanged};

/// One client with a key range of its own, so that what its rows must hold is exactly what was acknowledged to it.
class Client {
 public:
  Client(const Database& database, const Workload& workload, bool writes_new, int range)
      : m_workload(workload),
        m_new(writes_new),
        m_next(range),
        m_session(database.connect()),
        m_random(static_cast<unsigned>(range)) {}

  /// Seed rows that this client owns from now on.
  void adopt(int id, const Fact& fact) {
    m_ledger[id] = fact;
    m_untouched.insert(id);
  }

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto begin = std::chrono::steady_clock::now();
      try {
        act();
      } catch (const std::exception& error) {
        ++failures;
        first_failure = first_failure.empty() ? error.what() : first_failure;
      }
      longest = std::max(longest, std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin));
      ++requests;
      std::this_thread::sleep_for(milliseconds(1));  // a client, not a load test
    }
  }

  [[nodiscard]] const std::map<int, Fact>& ledger() const { return m_ledger; }

  std::atomic<int> requests{0};
  int failures = 0;
  std::string first_failure;
  milliseconds longest{0};

 private:
  [[nodiscard]] const std::vector<std::string>& columns() const {
    return m_new ? m_workload.new_columns : m_workload.old_columns;
  }
  [[nodiscard]] std::vector<std::string> values(const Fact& fact) const {
    return m_new ? m_workload.new_values(fact) : m_workload.old_values(fact);
  }

  int any_of(int size) { return std::uniform_int_distribution<int>(0, size - 1)(m_random); }
  Fact any_fact() {
    return m_workload.facts[static_cast<std::size_t>(any_of(static_cast<int>(m_workload.facts.size())))];
  }
  std::map<int, Fact>::iterator any_row() {
    return std::next(m_ledger.begin(), any_of(static_cast<int>(m_ledger.size())));
  }

  /// Null in the new column of a row that is not filled yet changes nothing, so the trigger cannot know that it was
  /// meant (docs/sync.md): the new version writes null only where it, or anybody, wrote before.
  Fact any_fact_for(int id) {
    Fact fact = any_fact();
    while (fact.null && m_new && m_untouched.contains(id)) {
      fact = any_fact();
    }
    return fact;
  }

  [[nodiscard]] std::string assignments(const Fact& fact) const {
    std::string text;
    const std::vector<std::string> written = values(fact);
    for (std::size_t i = 0; i < written.size(); ++i) {
      text += (i == 0 ? "" : ", ") + columns()[i] + " = " + written[i];
    }
    return text;
  }

  [[nodiscard]] std::string insertion(int id, const Fact& fact) const {
    std::string names = "id";
    std::string list = std::to_string(id);
    const std::vector<std::string> written = values(fact);
    for (std::size_t i = 0; i < written.size(); ++i) {
      names += ", " + columns()[i];
      list += ", " + written[i];
    }
    return fmt::format("insert into t ({}) values ({})", names, list);
  }

  void act() {
    const int what = m_ledger.empty() ? 0 : any_of(8);
    if (what <= 1) {
      const Fact fact = any_fact();
      m_session->query(insertion(m_next, fact));
      m_ledger[m_next++] = fact;
      return;
    }
    const auto row = any_row();
    const int id = row->first;
    if (what == 2) {
      change_key(row);
    } else if (what == 3) {
      m_session->query(fmt::format("delete from t where id = {}", id));
      m_ledger.erase(row);
    } else if (what == 4) {
      m_session->script(fmt::format("begin; update t set {} where id = {}; {}; rollback", assignments(any_fact()), id,
                                    insertion(m_next, any_fact())));
      return;
    } else if (what == 5) {
      m_session->query(fmt::format("update t set hits = hits + 1 where id = {}", id));
    } else {
      const Fact fact = any_fact_for(id);
      m_session->query(what == 6 ? insertion(id, fact) + " on conflict (id) do update set " + assignments(fact)
                                 : fmt::format("update t set {} where id = {}", assignments(fact), id));
      row->second = fact;
    }
    m_untouched.erase(id);
  }

  void change_key(std::map<int, Fact>::iterator row) {
    m_session->query(fmt::format("update t set id = {} where id = {}", m_next, row->first));
    m_ledger[m_next++] = row->second;
    m_ledger.erase(row);
  }

  const Workload& m_workload;
  bool m_new;
  int m_next;
  std::unique_ptr<pg::Connection> m_session;
  std::mt19937 m_random;
  std::map<int, Fact> m_ledger;
  std::set<int> m_untouched;  ///< not written since the migration began
};

/// Two clients of a version, at work from construction to stop().
class Version {
 public:
  Version(const Database& database, const Workload& workload, bool writes_new, int range) {
    for (int i = 0; i < 2; ++i) {
      m_clients.emplace_back(database, workload, writes_new, range + i * 1'000'000);
    }
  }
  std::deque<Client>& clients() { return m_clients; }
  void start() {
    for (Client& client : m_clients) {
      m_threads.emplace_back([&client](const std::stop_token& stop) { client.run(stop); });
    }
  }
  void stop() { m_threads.clear(); }
  /// Waits until each client has made `number` further requests, but no longer than a minute.
  void wait_for_requests(int number) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    for (const Client& client : m_clients) {
      const int wanted = client.requests + number;
      while (client.requests < wanted && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(milliseconds(1));
      }
    }
  }

 private:
  std::deque<Client> m_clients;
  std::vector<std::jthread> m_threads;
};

/// The rows of all ledgers, as literals in one shape.
std::string expected(Version& old_version, Version& new_version, const Workload& workload, bool in_new_shape) {
  std::string rows;
  for (Version* version : {&old_version, &new_version}) {
    for (const Client& client : version->clients()) {
      for (const auto& [id, fact] : client.ledger()) {
        const Fact seen = version == &old_version && in_new_shape ? workload.as_up_reads(fact) : fact;
        rows += fmt::format("{}({}", rows.empty() ? "" : ", ", id);
        for (const std::string& value : in_new_shape ? workload.new_values(seen) : workload.old_values(seen)) {
          rows += ", " + value;
        }
        rows += ")";
      }
    }
  }
  return rows;
}

/// Rows that are not what was acknowledged, from either side; none when nothing was lost.
std::string differences(Database& database, const std::vector<std::string>& columns, const std::string& expected_rows) {
  std::string list = "id::text";
  std::string names = "id";
  for (const std::string& column : columns) {
    list += ", " + column + "::text";
    names += ", " + column;
  }
  database.exec(fmt::format(
      "create table acknowledged ({0}); insert into acknowledged select * from (values {1}) v",
      [&] {
        std::string definition = "id text";
        for (const std::string& column : columns) {
          definition += ", " + column + " text";
        }
        return definition;
      }(),
      expected_rows));
  std::string rows = database.rows(fmt::format(
      "(select 'is', {0} from t except all select 'is', {1} from acknowledged) union all "
      "(select 'should be', {1} from acknowledged except all select 'should be', {0} from t) order by 2, 1 limit 20",
      list, names));
  database.exec("drop table acknowledged");
  return rows;
}

void no_request_failed(Version& version, const RunOptions& options) {
  for (const Client& client : version.clients()) {
    INFO(client.first_failure);
    CHECK(client.failures == 0);
    CHECK(client.requests >= k_requests);
    CHECK(client.longest <= options.lock_timeout + k_slack);
  }
}

/// The seed rows are shared out, so that rows from before the migration are written as well.
void share_out(Database& database, const Workload& workload, std::vector<Version*> versions) {
  std::vector<Client*> clients;
  for (Version* version : versions) {
    for (Client& client : version->clients()) {
      clients.push_back(&client);
    }
  }
  const bool names = workload.new_columns.size() == 2;
  const auto session = database.connect();
  const pg::Rows rows = session->query("select id, " + workload.old_columns.front() + " from t order by id");
  for (int row = 0; row < rows.size(); ++row) {
    const std::string value = rows.text(row, 1);
    const Fact fact = names ? Fact{"Seed", value.substr(5)} : Fact{value, ""};
    clients[static_cast<std::size_t>(row) % clients.size()]->adopt(static_cast<int>(rows.integer(row, 0)), fact);
  }
}

/// A rollout to its end, or to the point where it is taken back.
void roll_out(const Workload& workload, bool to_the_end) {
  Database database;
  database.exec(workload.setup);
  const std::string before = database.schema();
  RunOptions options;
  options.pace.target_batch = milliseconds(1);  // many batches, so that the writers meet them
  Version old_version(database, workload, false, 10'000'000);
  Version new_version(database, workload, true, 20'000'000);
  share_out(database, workload, {&old_version, &new_version});
  old_version.start();
  migrate(database, workload.plan, "expand", nullptr, options);
  new_version.start();
  // However fast the machine fills the rows, both versions are at work among filled and pending ones.
  int batches = 0;
  migrate(database, workload.plan, "backfill verify", nullptr, options,
          [&](pg::CallMoment moment, int, std::string_view sql) {
            if (moment == pg::CallMoment::before && fills(sql) && ++batches == 2) {
              old_version.wait_for_requests(k_requests);
              new_version.wait_for_requests(k_requests);
            }
          });
  (to_the_end ? old_version : new_version).stop();
  migrate(database, workload.plan, to_the_end ? "verify contract" : "rollback", nullptr, options);
  (to_the_end ? new_version : old_version).stop();

  no_request_failed(old_version, options);
  no_request_failed(new_version, options);
  CHECK(differences(database, to_the_end ? workload.new_columns : workload.old_columns,
                    expected(old_version, new_version, workload, to_the_end)) == "");
  if (!to_the_end) {
    CHECK(database.schema() == before);
  }
}

}  // namespace

TEST_CASE("workload: two versions of an application lose nothing while a name is split", "[unicode]") {
  roll_out(k_split_names, true);
}

TEST_CASE("workload: two versions lose nothing when a split is taken back", "[unicode]") {
  roll_out(k_split_names, false);
}

TEST_CASE("workload: two versions lose nothing while a column is renamed") {
  roll_out(k_renamed, true);
}

TEST_CASE("workload: two versions lose nothing when a rename is taken back") {
  roll_out(k_renamed, false);
}

TEST_CASE("workload: two versions lose nothing while an integer becomes a bigint") {
  roll_out(k_widened, true);
}

TEST_CASE("workload: two versions lose nothing when a change of type is taken back") {
  roll_out(k_widened, false);
}

}  // namespace ecmigrate::test
