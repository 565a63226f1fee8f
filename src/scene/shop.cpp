#include "shop.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caller.hpp"
#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/base/text.hpp"
#include "ledger.hpp"
#include "names.hpp"

namespace ecmigrate::scene {

namespace {

/// Which of k_name_columns a version writes.
std::vector<std::size_t> columns_of(Shape shape) {
  return shape == Shape::old_shape ? std::vector<std::size_t>{0} : std::vector<std::size_t>{1, 2};
}

std::string column_list(Shape shape) {
  return shape == Shape::old_shape ? "full_name" : "first_name, last_name";
}

std::string value_list(Shape shape, const NameValues& values) {
  std::vector<std::string> list;
  for (const std::size_t column : columns_of(shape)) {
    list.push_back(quote_literal(values[column].value_or("")));
  }
  return join(list, ", ");
}

/// Every version and every connection has a part of the users to itself, so that each knows what they must hold in the
/// end.
class ShopClient final : public Client {
 public:
  ShopClient(const TrafficOptions& options, int number)
      : m_caller(options.conninfo, "shop, " + options.shape + " version"),
        m_table(quote_identifier(options.table)),
        m_prefix(options.shape),
        m_half(options.shape == "new" ? 1 : 2),
        m_number(number),
        m_connections(options.connections) {}

  std::int64_t count_seeded() {
    return m_caller.call(fmt::format("select coalesce(max(id), 0) from {} where email like '%@example.com'", m_table))
        .integer(0, 0);
  }
  void set_seeded(std::int64_t users) { m_seeded = users; }
  pg::Rows all_users() { return m_caller.call(fmt::format("select id from {} order by id", m_table)); }

  void request(Shape shape, SteadyClock::time_point deadline) override {
    static constexpr std::array<void (ShopClient::*)(), 10> k_mix{
        &ShopClient::insert,     &ShopClient::insert,     &ShopClient::any_update, &ShopClient::any_update,
        &ShopClient::any_update, &ShopClient::any_update, &ShopClient::upsert,     &ShopClient::read,
        &ShopClient::read,       &ShopClient::remove};
    make(shape, deadline, [this] { (this->*k_mix[m_random.below(k_mix.size())])(); });
  }

  void request_update(Shape shape, Update update, std::int64_t id) {
    make(shape, SteadyClock::time_point::max(), [&] { make_update(update, id); });
  }

  ReadBack read_back() override {
    m_caller.begin(SteadyClock::time_point::max());
    ReadBack result = m_ledger.read_back(m_caller, m_table);
    result.lost += m_lost;
    result.losses.insert(result.losses.end(), m_losses.begin(), m_losses.end());
    return result;
  }

 private:
  template <typename Act>
  void make(Shape shape, SteadyClock::time_point deadline, const Act& act) {
    m_shape = shape;
    m_writing = 0;
    m_caller.begin(deadline);
    try {
      act();
    } catch (const Error&) {
      if (m_caller.outcome_unknown()) {
        m_ledger.forget(m_writing);
        std::erase(m_own, m_writing);
      }
      throw;
    }
  }

  NameValues new_name() {
    auto [given, family] = m_random.name();
    if (m_shape == Shape::new_shape) {
      return {std::nullopt, given, family};
    }
    return {family.empty() ? given : given + " " + family, std::nullopt, std::nullopt};
  }

  /// Users of this client that were there before, or that it has registered; 0 where there are none.
  std::int64_t some_user() {
    const std::int64_t half = m_seeded / 2;
    const std::int64_t mine = half > m_number ? (half - m_number - 1) / m_connections + 1 : 0;
    if (mine == 0 && m_own.empty()) {
      return 0;
    }
    if (m_own.empty() || (mine > 0 && m_random.below(3) > 0)) {
      const auto nth = static_cast<std::int64_t>(m_random.below(static_cast<std::size_t>(mine)));
      return 2 * (nth * m_connections + m_number) + m_half;
    }
    return m_own[m_random.below(m_own.size())];
  }

  /// Registered users are kept between these numbers, however long the application runs.
  [[nodiscard]] std::size_t fewest() const {
    return std::max<std::size_t>(20, 200 / static_cast<std::size_t>(m_connections));
  }

  void insert() {
    if (m_own.size() >= 4 * fewest()) {
      return remove();
    }
    const NameValues values = new_name();
    const std::string email = fmt::format("{}-{}-{}@traffic.example", m_prefix, m_caller.backend_pid(), ++m_emails);
    const std::int64_t id =
        m_caller
            .call(fmt::format("insert into {} ({}, email, country) values ({}, {}, 'DE') returning id", m_table,
                              column_list(m_shape), value_list(m_shape, values), quote_literal(email)))
            .integer(0, 0);
    m_ledger.wrote(id, values);
    m_emails_of[id] = email;
    m_own.push_back(id);
  }

  void any_update() {
    const std::int64_t id = some_user();
    id == 0 ? insert() : make_update(k_updates[m_random.below(k_updates.size())], id);
  }

  void make_update(Update update, std::int64_t id) {
    switch (update) {
      case Update::name:
        return update_name(id);
      case Update::first_column:
        return update_column(id, columns_of(m_shape).front());
      case Update::last_column:
        return update_column(id, columns_of(m_shape).back());
      case Update::other_column:
        return write(id, fmt::format("update {} set last_order_at = now() where id = {}", m_table, id), {});
      case Update::taken_back:
        return take_back(id);
    }
  }

  [[nodiscard]] std::string update_sql(std::int64_t id, const NameValues& values) const {
    return fmt::format("update {} set ({}) = row({}) where id = {}", m_table, column_list(m_shape),
                       value_list(m_shape, values), id);
  }

  void update_name(std::int64_t id) {
    const NameValues values = new_name();
    write(id, update_sql(id, values), values);
  }

  /// For the new version: one part of the name, of a row that may not be filled yet.
  void update_column(std::int64_t id, std::size_t column) {
    NameValues values;
    values[column] = new_name()[column];
    if (m_shape == Shape::new_shape) {
      values[column] = first_characters(*values[column], room_beside(id, column == 1 ? 1 : 0));
    }
    write(id,
          fmt::format("update {} set {} = {} where id = {}", m_table, k_name_columns[column],
                      quote_literal(*values[column]), id),
          values);
  }

  /// How long a part of the name may be beside the other one. The name as a whole has to fit the column of the old
  /// version until contract, so the form takes no more than that. A name that waits for the backfill is in the old
  /// column alone; asked for as JSON, as this version goes on when that column is gone.
  std::size_t room_beside(std::int64_t id, std::size_t other) {
    const pg::Rows rows = m_caller.call(fmt::format(
        "select first_name, last_name, to_jsonb(u) ->> 'full_name' from {} as u where id = {}", m_table, id));
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

  void write(std::int64_t id, const std::string& sql, const NameValues& values) {
    m_writing = id;
    if (m_caller.call(sql).affected() == 0) {
      lose(fmt::format("lost write: row {}: an update found no row", id));
    }
    m_ledger.wrote(id, values);
  }

  void upsert() {
    if (m_own.empty()) {
      return insert();
    }
    const std::int64_t id = m_own[m_random.below(m_own.size())];
    const NameValues values = new_name();
    std::vector<std::string> excluded;
    for (const std::size_t column : columns_of(m_shape)) {
      excluded.push_back(fmt::format("{0} = excluded.{0}", k_name_columns[column]));
    }
    write(id,
          fmt::format("insert into {} ({}, email, country) values ({}, {}, 'FR') on conflict (email) do update set {}",
                      m_table, column_list(m_shape), value_list(m_shape, values), quote_literal(m_emails_of.at(id)),
                      join(excluded, ", ")),
          values);
  }

  void read() {
    const auto id = m_ledger.row_from(some_user());
    if (!id) {
      return insert();
    }
    const pg::Rows rows =
        m_caller.call(fmt::format("select {} from {} where id = {}", column_list(m_shape), m_table, *id));
    std::optional<NameValues> found;
    if (rows.size() == 1) {
      found.emplace();
      const std::vector<std::size_t> columns = columns_of(m_shape);
      for (std::size_t i = 0; i < columns.size(); ++i) {
        (*found)[columns[i]] = rows.maybe(0, static_cast<int>(i)).value_or("null");
      }
    }
    if (const auto wrong = m_ledger.wrong_with(*id, found)) {
      lose(*wrong);
    }
  }

  void lose(const std::string& how) {
    constexpr std::size_t k_most_told = 5;
    ++m_lost;
    if (m_losses.size() < k_most_told) {
      m_losses.push_back(how);
    }
  }

  void remove() {
    if (m_own.size() < fewest()) {
      return insert();
    }
    const std::size_t at = m_random.below(m_own.size());
    m_writing = m_own[at];
    m_caller.call(fmt::format("delete from {} where id = {}", m_table, m_writing));
    m_ledger.deleted(m_writing);
    m_emails_of.erase(m_writing);
    m_own[at] = m_own.back();
    m_own.pop_back();
  }

  /// A customer who changes his mind: nothing of it may be left.
  void take_back(std::int64_t id) { m_caller.call(fmt::format("begin; {}; rollback", update_sql(id, new_name()))); }

  Caller m_caller;
  std::string m_table;   ///< as SQL
  std::string m_prefix;  ///< of the mail addresses
  std::int64_t m_half;   ///< its first id: the old version has the even ones, the new the odd ones
  int m_number;
  int m_connections;
  Random m_random;
  Ledger m_ledger;
  std::int64_t m_lost = 0;            ///< seen before the end
  std::vector<std::string> m_losses;  ///< the first few of them
  std::vector<std::int64_t> m_own;    ///< users that it registered and has not removed
  std::map<std::int64_t, std::string> m_emails_of;
  std::int64_t m_seeded = 0;
  std::int64_t m_emails = 0;
  std::int64_t m_writing = 0;  ///< row of the running request
  Shape m_shape = Shape::old_shape;
};

}  // namespace

std::unique_ptr<Client> Shop::connect(int number) {
  auto client = std::make_unique<ShopClient>(m_options, number);
  if (m_seeded < 0) {
    m_seeded = client->count_seeded();
  }
  client->set_seeded(m_seeded);
  return client;
}

TrafficStats update_every_user(const TrafficOptions& options, Update update) {
  ShopClient client(options, 0);
  TrafficStats stats;
  const Shape shape = options.shape == "new" ? Shape::new_shape : Shape::old_shape;
  const pg::Rows users = client.all_users();
  for (int row = 0; row < users.size(); ++row) {
    ++stats.requests;
    try {
      client.request_update(shape, update, users.integer(row, 0));
    } catch (const Error& error) {
      ++stats.failed;
      stats.errors.emplace_back(error.what());
    }
  }
  const ReadBack found = client.read_back();
  stats.checked = found.checked;
  stats.lost = found.lost;
  stats.errors.insert(stats.errors.end(), found.losses.begin(), found.losses.end());
  return stats;
}

}  // namespace ecmigrate::scene
