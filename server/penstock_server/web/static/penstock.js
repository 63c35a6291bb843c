// The page's only script. A page is complete without it; this adds what changes while one looks:
// theme, palette, keys, folding, dialogs, live fragments and log lines.
'use strict';

const root = document.documentElement;
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// Theme: a cookie, so that the server writes it into the page and nothing flashes.
const themes = ['system', 'light', 'dark'];
const theme = () => root.dataset.theme || 'system';

function setTheme(name) {
  if (name === 'system') delete root.dataset.theme;
  else root.dataset.theme = name;
  const age = name === 'system' ? 0 : 31536000;
  document.cookie = `penstock_theme=${name}; path=/; max-age=${age}; samesite=lax`;
  nameTheme();
}

function nameTheme() {
  for (const button of $$('[data-theme-toggle]')) {
    button.title = `Theme: ${theme()}`;
    button.setAttribute('aria-label', button.title);
  }
}

// Durations as the server writes them.
function duration(seconds) {
  const s = Math.max(0, seconds);
  if (s > 0 && s < 0.05) return '<0.1 s';
  if (s < 10) return `${s.toFixed(1).replace(/\.0$/, '')} s`;
  const whole = Math.round(s);
  const pair = (a, unit, b, below) => (b ? `${a} ${unit} ${b} ${below}` : `${a} ${unit}`);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(Math.floor(whole / 60), 'min', whole % 60, 's');
  if (whole < 86400) return pair(Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'min');
  return pair(Math.floor(whole / 86400), 'd', Math.floor((whole % 86400) / 3600), 'h');
}

// Folding of groups in the Gantt chart; what is folded stays so when rows are replaced.
const folded = new Set();

function fold(id, on) {
  if (on) folded.add(id);
  else folded.delete(id);
  applyFolds();
}

function applyFolds() {
  for (const button of $$('.fold[data-of]')) {
    button.setAttribute('aria-expanded', String(!folded.has(button.dataset.of)));
  }
  for (const row of $$('[data-in]')) {
    row.hidden = row.dataset.in.split(' ').some((id) => folded.has(id));
  }
}

// Live: one connection for the page's fragments, one for log lines.
const live = $('#live');
let lastSeen = null;
let lost = null;

function seen() {
  clearTimeout(lost);
  lost = null;
  lastSeen = new Date();
  if (live && live.dataset.off !== undefined) {
    delete live.dataset.off;
    live.textContent = 'Live';
  }
}

function gone() {
  if (lost || !live) return;
  lost = setTimeout(() => {
    live.dataset.off = '';
    live.textContent = lastSeen ? `Last seen ${lastSeen.toISOString().slice(11, 19)}` : 'Not live';
  }, 3000);
}

function ended() {
  clearTimeout(lost);
  if (live) {
    live.dataset.off = '';
    live.textContent = 'Ended';
  }
}

function connect(url, handlers) {
  const source = new EventSource(url);
  source.onopen = seen;
  source.onerror = () => {
    gone();
    // A refusal closes the connection for good: ask again in a while.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => connect(url, handlers), 10000);
  };
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (message) => {
      seen();
      handle(JSON.parse(message.data), source);
    });
  }
}

// Nothing under the pointer or the focus is replaced: the swap waits, for at most two seconds.
const waiting = new Map();

function busy(node) {
  const focus = document.activeElement;
  return node.matches(':hover') || (focus && focus !== document.body && node.contains(focus));
}

function swap(id, html, tries = 0) {
  const node = document.getElementById(id);
  if (!node) return;
  clearTimeout(waiting.get(id));
  if (tries < 8 && busy(node) && $$('a, button, input', node).some((n) => n.matches(':hover, :focus'))) {
    waiting.set(id, setTimeout(() => swap(id, html, tries + 1), 250));
    return;
  }
  waiting.delete(id);
  const held = document.activeElement && node.contains(document.activeElement) ? document.activeElement.id : '';
  node.outerHTML = html;
  if (held) document.getElementById(held)?.focus({ preventScroll: true });
  applyFolds();
  edge();
  const state = $('#state .state span');
  if (state) document.title = document.title.replace(/^[A-Z][a-z]+:/, `${state.textContent}:`);
}

function swapAll(parts) {
  for (const [id, html] of Object.entries(parts)) swap(id, html);
}

// The live edge: once a second, out of one clock, and not in a hidden tab.
function edge() {
  const now = Date.now() / 1000;
  for (const node of $$('[data-since]')) {
    node.textContent = duration(now - Date.parse(node.dataset.since) / 1000);
  }
  const rows = $('#rows[data-start]');
  if (!rows) return;
  const at = Math.min(((now - rows.dataset.start) / rows.dataset.seconds) * 100, 100);
  for (const line of $$('.now', rows)) {
    line.setAttribute('x1', `${at}%`);
    line.setAttribute('x2', `${at}%`);
  }
  for (const label of $$('[data-at-edge]', rows)) label.setAttribute('x', `${at}%`);
  for (const bar of $$('[data-edge]', rows)) {
    bar.setAttribute('width', `${Math.max(at - bar.dataset.edge, 0.3)}%`);
  }
}

// Log lines, as they come. Ids are line numbers, so a line that comes twice shows once.
const log = $('#log');
const follow = $('#follow');
let following = true;
let unseen = 0;

function setFollowing(on) {
  following = on;
  if (on) unseen = 0;
  follow.setAttribute('aria-pressed', String(on));
  $('span', follow).textContent = on || !unseen ? 'Follow' : `Follow, ${unseen} new lines`;
  if (on) scrollTo({ top: document.body.scrollHeight });
}

function fragment(html) {
  const holder = document.createElement('template');
  holder.innerHTML = html;
  return holder.content;
}

// What a script has put into a fold of its log is shown or not as its title says.
function crease(head, shut) {
  $('.crease', head).setAttribute('aria-expanded', String(!shut));
  let depth = 1;
  for (let line = head.nextElementSibling; line && depth; line = line.nextElementSibling) {
    if (line.dataset.fold) depth += line.dataset.fold === 'end' ? -1 : 1;
    if (line.dataset.fold !== 'end') line.hidden = shut;
  }
}

function creases(within) {
  for (const head of $$('[data-fold=open], [data-fold=shut]', within)) {
    const button = $('.crease', head);
    const shut = button.getAttribute('aria-expanded') === 'false';
    if (shut || !button.hasAttribute('aria-expanded')) crease(head, shut || head.dataset.fold === 'shut');
  }
}

function addLines(groups) {
  $('#no-lines')?.remove();
  for (const one of groups) {
    if (!document.getElementById(one.group)) log.append(fragment(one.shell));
    const group = document.getElementById(one.group);
    const lines = fragment(one.lines);
    for (const line of [...lines.children]) if (document.getElementById(line.id)) line.remove();
    unseen += lines.children.length;
    $('ol', group).append(lines);
    creases(group);
    const icon = $('summary .si', group);
    const fresh = $('summary .si', fragment(one.shell));
    if (icon && fresh) icon.replaceWith(fresh);
  }
  const count = $('#n-logs');
  if (count) count.textContent = Number($$('li[id^=L]', log).pop().id.slice(1)).toLocaleString('en');
  if (follow) setFollowing(following);
}

function startLogs(url) {
  connect(url, { log: addLines, end: (_, source) => source.close() });
  if (!follow) return;
  follow.hidden = false;
  setFollowing(!location.hash);
  let from = scrollY;
  addEventListener('scroll', () => {
    if (scrollY < from - 4 && following) setFollowing(false);
    from = scrollY;
  }, { passive: true });
  follow.addEventListener('click', () => setFollowing(!following));
}

// A line, or several, of the address are marked, and their group is opened.
function showLines() {
  const found = /^#L(\d+)(?:-L(\d+))?$/.exec(location.hash);
  for (const line of $$('.log li.on')) line.classList.remove('on');
  if (!found) return;
  const [first, last] = [Number(found[1]), Number(found[2] || found[1])];
  for (let n = first; n <= Math.min(last, first + 1000); n += 1) {
    const line = document.getElementById(`L${n}`);
    if (!line) continue;
    line.classList.add('on');
    line.closest('details').open = true;
    line.hidden = false;
    if (n === first) line.scrollIntoView({ block: 'center' });
  }
}

// The palette: places, and what the server finds for what is typed.
const palette = $('#palette');
const field = palette && $('input', palette);
const options = () => $$('[role=option]', palette).filter((o) => !o.hidden);
let asking = null;

function choose(option) {
  for (const other of $$('[role=option]', palette)) other.setAttribute('aria-selected', String(other === option));
  if (!option) return;
  field.setAttribute('aria-activedescendant', option.id);
  option.scrollIntoView({ block: 'nearest' });
}

function openPalette() {
  field.value = '';
  narrow();
  palette.showModal();
  field.focus();
}

function narrow() {
  const text = field.value.trim().toLowerCase();
  for (const found of $$('[data-found]', palette)) found.remove();
  for (const option of $$('[role=option]', palette)) option.hidden = !option.textContent.toLowerCase().includes(text);
  choose(options()[0]);
  clearTimeout(asking);
  if (text) asking = setTimeout(() => ask(text), 150);
}

async function ask(text) {
  const answer = await fetch(`/palette?q=${encodeURIComponent(text)}`);
  if (!answer.ok || field.value.trim().toLowerCase() !== text) return;
  $('ul', palette).prepend(fragment(await answer.text()));
  choose(options()[0]);
}

function palettesKeys(event) {
  const shown = options();
  const at = shown.findIndex((o) => o.getAttribute('aria-selected') === 'true');
  if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    event.preventDefault();
    choose(shown[(at + (event.key === 'ArrowDown' ? 1 : shown.length - 1)) % shown.length]);
  } else if (event.key === 'Enter' && shown[at]) {
    location.href = shown[at].dataset.href;
  }
}

// Keys, outside fields only.
let pressed = '';

function keys(event) {
  if ((event.ctrlKey || event.metaKey) && event.key === 'k') {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog')) return;
  const before = pressed;
  pressed = event.key;
  if (before === 'g') {
    const place = $(`#pal-${CSS.escape(event.key)}`);
    if (place) location.href = place.dataset.href;
  } else if (event.key === '/') {
    event.preventDefault();
    const search = $('main [type=search]');
    if (search) search.focus();
    else openPalette();
  } else if (event.key === 'j' || event.key === 'k') {
    const names = $$('main .name[href], main .gantt a').filter((n) => n.offsetParent);
    const next = names.indexOf(document.activeElement) + (event.key === 'j' ? 1 : -1);
    names[Math.max(0, Math.min(next, names.length - 1))]?.focus();
  } else if (/^[1-7]$/.test(event.key)) {
    $$('.tabs a')[event.key - 1]?.click();
  } else if (event.key === 'e') {
    $('a[data-key=e]')?.click();
  } else if (event.key === 'f' && follow) {
    follow.click();
  } else if ((event.key === 'ArrowLeft' || event.key === 'ArrowRight') && event.target.closest('.gantt li')) {
    const button = $('.fold[data-of]', event.target.closest('li'));
    if (button) fold(button.dataset.of, event.key === 'ArrowLeft');
  }
}

function clicks(event) {
  const target = event.target;
  if (target.closest('[data-theme-toggle]')) setTheme(themes[(themes.indexOf(theme()) + 1) % 3]);
  if (target.closest('[data-palette]')) openPalette();
  const button = target.closest('.fold[data-of]');
  if (button) fold(button.dataset.of, button.getAttribute('aria-expanded') === 'true');
  const title = target.closest('.crease');
  if (title) crease(title.closest('li'), title.getAttribute('aria-expanded') !== 'false');
  if (target.closest('[data-close]') || target.matches('dialog')) target.closest('dialog').close();
  const option = target.closest('[role=option]');
  if (option) location.href = option.dataset.href;
  const copy = target.closest('[data-copy]');
  if (copy) navigator.clipboard?.writeText(document.getElementById(copy.dataset.copy).innerText);
}

function submits(event) {
  const dialog = document.getElementById(event.target.dataset.confirm || '');
  if (!dialog || dialog.open) return;
  event.preventDefault();
  dialog.showModal();
}

nameTheme();
for (const hidden of $$('[data-theme-toggle], [data-palette], [data-copy]')) hidden.hidden = false;
for (const select of $$('[data-submit]')) select.addEventListener('change', () => select.form.requestSubmit());
$('.tabs [aria-current]')?.scrollIntoView({ inline: 'center', block: 'nearest' });
document.addEventListener('click', clicks);
document.addEventListener('keydown', keys);
document.addEventListener('submit', submits);
field?.addEventListener('input', narrow);
palette?.addEventListener('keydown', palettesKeys);
if (log) creases(log);
addEventListener('hashchange', showLines);
showLines();

if (document.body.dataset.live) {
  connect(document.body.dataset.live, {
    swap: swapAll,
    end: (_, source) => {
      source.close();
      ended();
    },
  });
  setInterval(() => document.hidden || (live && live.dataset.off !== undefined) || edge(), 1000);
}
if (document.body.dataset.logs) startLogs(document.body.dataset.logs);
