// Figures and times as people read them. What is not known is a dash, never 0. Times are UTC.
export const known = (n) => n !== null && n !== undefined;
const or = (f) => (n, unit = '') => (known(n) ? f(Number(n)) + unit : '–');

export const integer = or((n) => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, ','));
export const short = or((n) => (n >= 1e9 ? (n / 1e9).toFixed(1) + ' G' : n >= 1e6 ? (n / 1e6).toFixed(1) + ' M' : integer(n)));
// 99.96 is not yet 100.
export const percent = or((n) => (n >= 100 ? 100 : Number(Math.min(n, 99.9).toFixed(1))) + '%');
export const seconds = or((n) => (n / 1000).toFixed(1) + ' s');
export const millis = or((n) => (n < 10 ? n.toFixed(1) + ' ms' : n < 1000 ? Math.round(n) + ' ms' : n < 60000 ? (n / 1000).toFixed(2) + ' s' : span(n)));
export const sessions = or((n) => n + (n === 1 ? ' session' : ' sessions'));

// Longer times: whole units, two at most.
export const span = or((n) => {
  const s = Math.round(n / 1000);
  const [m, hours] = [Math.floor(s / 60), Math.floor(s / 3600)];
  const two = (a, b) => (b.startsWith('0 ') ? a : `${a} ${b}`);
  if (s < 60) return s + ' s';
  if (m < 10) return two(m + ' min', (s % 60) + ' s');
  if (m < 60) return Math.round(s / 60) + ' min';
  return hours < 48 ? two(hours + ' h', (m % 60) + ' min') : two(Math.floor(hours / 24) + ' d', (hours % 24) + ' h');
});

export const bytes = or((n) => {
  const unit = Math.max(0, Math.min(5, Math.floor(Math.log2(Math.max(1, n)) / 10)));
  const value = n / 1024 ** unit;
  return (unit && value < (unit > 2 ? 99.5 : 9.95) ? value.toFixed(1) : Math.round(value)) + ' ' + ['B', 'kB', 'MB', 'GB', 'TB', 'PB'][unit];
});
export const growth = (before, after) => (before > 0 && known(after) ? (after < before ? '−' : '+') + Math.abs(Math.round((after / before - 1) * 100)) + '%' : '–');

const iso = (at) => new Date(at).toISOString();
export const clock = (at) => (known(at) ? iso(at).slice(11, 19) : '–');
export const minute = (at) => (known(at) ? iso(at).slice(11, 16) : '–');
export const day = (at) => new Date(at).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });
export const sameDay = (a, b) => iso(a).slice(0, 10) === iso(b).slice(0, 10);
export const when = (at, now) => (known(at) ? `${sameDay(at, now) ? 'today' : day(at)} ${minute(at)}` : '–');
export const ago = (at, now) => span(Math.max(0, now - new Date(at))) + ' ago';
