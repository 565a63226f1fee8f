-- The table of a shop that has been running for some years: 200,000 users, with the names that people have. The setting
-- demo.users changes their number.
create table users (
  id bigint generated always as identity,
  full_name varchar(255) not null,
  email text not null,
  country char(2) not null,
  newsletter boolean not null default false,
  last_order_at timestamptz,
  created_at timestamptz not null default now()
);

with words as (
  select
    array['Ann', 'Bea', 'Chidi', 'Dana', 'Emeka', 'Fatima', 'Grace', 'Hiro', 'Ines', 'Jonas', 'Keiko', 'Liam', 'Mary', 'Noah',
      'Olga', 'Priya', 'Quinn', 'Rosa', 'Sam', 'Thandiwe', 'Uma', 'Victor', 'Wanjiru', 'Xavier', 'Yusuf', 'Zara'] as given,
    array['Zoë', 'Łukasz', 'Søren', 'José', 'Nguyễn', 'Юлия', '美咲', 'محمد', 'Ἑλένη', 'Ünal', 'Naïma', '👩‍🚀Kim'] as given_unicode,
    array['Lee', 'Okafor', 'Smith', 'García', 'Haddad', 'Ivanova', 'Jansen', 'Kowalska', 'Lindqvist', 'Moreau', 'Novák', 'Osei',
      'Patel', 'Rossi', 'Tanaka', 'Weber', 'Yilmaz', 'Zhang', 'Mbeki', 'Silva', 'Brown', 'Diallo', 'Evans', 'Fischer', 'Ali'] as family,
    array['O''Neil', 'D''Angelo', 'N''Diaye', 'O''Brien-Smith', 'van ''t Hoff'] as apostrophe,
    array['US', 'DE', 'NG', 'IN', 'BR', 'JP', 'FR', 'PL', 'KE', 'GB'] as country)
insert into users (full_name, email, country, newsletter, last_order_at, created_at)
select
  case
    when i % 1000 = 17 then given[1 + i % 26] || ' '                                            -- a space too many: `up` loses it
    when i % 500 = 13 then given[1 + i % 26] || '  ' || family[1 + i % 25]                      -- two spaces
    when i % 1000 = 29 then left(given[1 + i % 26] || repeat(' de la Santísima Trinidad', 12), 255)  -- as long as it may be
    when i % 1000 = 31 then repeat('Hubert', 42) || 'abc'                                       -- the same without a space
    when i % 40 = 3 then given[1 + i % 26]                                                      -- one word
    when i % 10 = 4 then given[1 + i % 26] || ' ' || given[1 + i % 23] || ' ' || family[1 + i % 25]  -- three words
    when i % 15 = 7 then given_unicode[1 + i % 12] || ' ' || family[1 + i % 25]
    when i % 50 = 9 then given[1 + i % 26] || ' ' || apostrophe[1 + i % 5]
    else given[1 + i % 26] || ' ' || family[1 + i % 25]
  end,
  'user' || i || '@example.com', country[1 + i % 10], i % 3 = 0,
  case when i % 4 > 0 then timestamptz '2025-01-01' + i % 300 * interval '1 day' end,
  timestamptz '2019-01-01' + i * (interval '2080 days' / n)
from words, (select coalesce(nullif(current_setting('demo.users', true), ''), '200000')::integer as n) as settings, generate_series(1, n) as i;

-- After the rows: built at once, an index takes a tenth of the time.
alter table users add primary key (id), add unique (email);
create index users_created_at on users (created_at);
create index users_country_last_order on users (country, last_order_at);
analyze users;
