// Figures and times as people read them. What is not known is a dash, never 0. Times are UTC.
const known = (n) => n !== null && n !== undefined && !Number.isNaN(n);
const or = (f) => (n, ...rest) => (known(n) ? f(Number(n), ...rest) : '–');

export const integer = or((n) => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, ','));
export const short = or((n) => (n >= 1e9 ? (n / 1e9).toFixed(1) + ' G' : n >= 1e6 ? (n / 1e6).toFixed(1) + ' M' : integer(n)));
// 99.96 is not yet 100.
export const percent = or((n) => (n >= 100 ? 100 : Number(Math.min(n, 99.9).toFixed(1))) + '%');

export const millis = or((n) => {
  if (n < 10) return n.toFixed(1) + ' ms';
  if (n < 1000) return Math.round(n) + ' ms';
  if (n < 60000) return (n / 1000).toFixed(2) + ' s';
  return span(n);
});

// Longer times: whole units, two at most.
export const span = or((n) => {
  const s = Math.round(n / 1000);
  if (s < 60) return s + ' s';
  const m = Math.floor(s / 60);
  if (m < 60) return s % 60 && m < 10 ? `${m} min ${s % 60} s` : Math.round(s / 60) + ' min';
  const hours = Math.floor(m / 60);
  if (hours < 48) return m % 60 ? `${hours} h ${m % 60} min` : hours + ' h';
  return Math.floor(hours / 24) + ' d' + (hours % 24 ? ` ${hours % 24} h` : '');
});

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
export const bytes = or((n) => {
  let unit = 0;
  while (n >= 999.5 && unit < UNITS.length - 1) { n /= 1024; unit++; }
  return (unit > 0 && n < 9.95 ? n.toFixed(1) : unit > 2 && n < 99.5 ? n.toFixed(1) : Math.round(n)) + ' ' + UNITS[unit];
});

export const growth = (before, after) => (known(before) && known(after) && before > 0 ? (after >= before ? '+' : '−') + Math.abs(Math.round((after / before - 1) * 100)) + '%' : '–');
export const sessions = or((n) => n + (n === 1 ? ' session' : ' sessions'));

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const iso = (at) => new Date(at).toISOString();
const valid = (at) => at !== null && at !== undefined && !Number.isNaN(new Date(at).getTime());
export const clock = (at) => (valid(at) ? iso(at).slice(11, 19) : '–');
export const minute = (at) => (valid(at) ? iso(at).slice(11, 16) : '–');
export const day = (at) => { const d = new Date(at); return `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`; };
export const sameDay = (a, b) => iso(a).slice(0, 10) === iso(b).slice(0, 10);
export const when = (at, now) => (valid(at) ? (sameDay(at, now) ? 'today' : day(at)) + ' ' + minute(at) : '–');
export const ago = (at, now) => (valid(at) ? span(Math.max(0, now - new Date(at))) + ' ago' : '–');
