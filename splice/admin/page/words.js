// The words of the dashboard, once in each language. Both tables have the same keys, and a test holds them to it.

const ENGLISH = {
  totals: "Totals over the last minutes",
  viewers: "Viewers",
  bytes_out: "Out",
  peak: "5 min peak {value}",
  streams: "Streams",
  origins: "Origins",
  forwards: "Forwards",
  pulls: "Kept pulls",
  log: "Events",
  filter: "Filter",
  pages: "Pages",
  stream: "Stream",
  route: "Route",
  origin: "Origin",
  publisher: "Publisher",
  codec: "Codec",
  size: "Size",
  fps: "fps",
  keyframes: "Keyframe every",
  rate_in: "In",
  rate_out: "Out",
  waiting: "Slowest viewer",
  peer: "Peer",
  protocol: "Protocol",
  time: "Time",
  bytes: "Bytes",
  rate: "Bit rate",
  name: "Name",
  mode: "Mode",
  state: "State",
  error: "Last error",
  target: "Target",
  lasts: "For",
  reconnects: "Reconnects",
  skipped: "Skips",
  is_idle: "no stream",
  is_connecting: "connecting",
  is_running: "running",
  is_waiting: "trying again",
  up: "up",
  down: "down",
  unknown: "not asked yet",
  actions: "Actions",
  play: "Play",
  stop: "Stop",
  to_wall: "Wall",
  wall: "Wall",
  wall_all: "All on the wall",
  close_all: "Close all",
  close: "Close",
  end: "End",
  cancel: "Cancel",
  end_stream: "End the stream {name}, its publisher and its viewers?",
  end_publisher: "End the publisher {name}? Its viewers wait for another.",
  end_viewer: "End the viewer {name}?",
  end_publisher_short: "End publisher",
  end_forward: "End the forward {name}, with all its streams?",
  end_pull: "Keep the pull {name} no longer? Once nobody watches, it ends.",
  let_go: "Let go",
  no_streams: "No stream passes through the door.",
  no_viewers: "Nobody watches.",
  previous: "Previous",
  next: "Next",
  page_of: "{first} to {last} of {total}",
  transport: "by",
  connecting: "Connecting …",
  playing: "Playing",
  ended: "The stream has ended.",
  blocked: "The browser waits for a click on the picture.",
  failed: "No picture: {reason}",
  unsupported: "This browser cannot play it: it lacks Media Source Extensions.",
  unreachable: "the connection was lost, or the door cannot be reached.",
  no_tls: "this page came by https, and the door serves no streams by TLS (--tls).",
  no_player: "This door was installed without its player (mpegts.js), so nothing plays here; all else works.",
  behind: "{seconds} s behind live",
  token_text: "From elsewhere than the door’s own machine this page needs the token of [admin] in its configuration.",
  token: "Token",
  sign_in: "Sign in",
  wrong_token: "This is not the token.",
  live: "Live",
  lost: "The door does not answer; trying again …",
};

const CHINESE = {
  totals: "最近几分钟的总量",
  viewers: "观众",
  bytes_out: "输出",
  peak: "5 分钟峰值 {value}",
  streams: "流",
  origins: "源站",
  forwards: "转推",
  pulls: "常驻拉流",
  log: "事件",
  filter: "筛选",
  pages: "翻页",
  stream: "流",
  route: "路径",
  origin: "源站",
  publisher: "推流端",
  codec: "编码",
  size: "尺寸",
  fps: "帧率",
  keyframes: "关键帧间隔",
  rate_in: "输入",
  rate_out: "输出",
  waiting: "最慢观众",
  peer: "对端",
  protocol: "协议",
  time: "时长",
  bytes: "流量",
  rate: "码率",
  name: "名称",
  mode: "方式",
  state: "状态",
  error: "最近的错误",
  target: "目标",
  lasts: "已持续",
  reconnects: "重连次数",
  skipped: "跳帧次数",
  is_idle: "没有流",
  is_connecting: "正在连接",
  is_running: "正常",
  is_waiting: "正在重试",
  up: "正常",
  down: "故障",
  unknown: "尚未访问",
  actions: "操作",
  play: "播放",
  stop: "停止",
  to_wall: "上墙",
  wall: "画面墙",
  wall_all: "全部上墙",
  close_all: "全部关闭",
  close: "关闭",
  end: "断开",
  cancel: "取消",
  end_stream: "断开流 {name}，连同它的推流端和全部观众？",
  end_publisher: "断开推流端 {name}？它的观众会继续等候下一个推流端。",
  end_viewer: "断开观众 {name}？",
  end_publisher_short: "断开推流",
  end_forward: "断开转推 {name}，连同它的全部流？",
  end_pull: "不再常驻拉流 {name}？没有观众时它就会结束。",
  let_go: "取消常驻",
  no_streams: "目前没有流经过本机。",
  no_viewers: "目前没有观众。",
  previous: "上一页",
  next: "下一页",
  page_of: "第 {first} 至 {last} 项，共 {total} 项",
  transport: "方式",
  connecting: "正在连接……",
  playing: "正在播放",
  ended: "这路流已经结束。",
  blocked: "浏览器要求先点一下画面。",
  failed: "没有画面：{reason}",
  unsupported: "这个浏览器无法播放：它不支持 Media Source Extensions。",
  unreachable: "连接中断，或无法连到本机。",
  no_tls: "本页经由 https 打开，而本机没有用 TLS 提供流（--tls）。",
  no_player: "本机安装时没有带播放器（mpegts.js），此处无法播放，其余功能照常。",
  behind: "落后直播 {seconds} 秒",
  token_text: "从其他机器打开本页，需要配置里 [admin] 的令牌。",
  token: "令牌",
  sign_in: "登录",
  wrong_token: "令牌不对。",
  live: "实时",
  lost: "服务没有应答，正在重试……",
};

const chinese = navigator.language.toLowerCase().startsWith("zh");
const words = chinese ? CHINESE : ENGLISH;

export function say(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// Put the words in the places of the page that name them.
export function fillWords() {
  document.documentElement.lang = chinese ? "zh" : "en";
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = words[place.dataset.text];
  for (const place of document.querySelectorAll("nav[data-label], section[data-label]"))
    place.setAttribute("aria-label", words[place.dataset.label]);
  for (const place of document.querySelectorAll("[data-placeholder]")) {
    place.placeholder = words[place.dataset.placeholder];
    place.setAttribute("aria-label", words[place.dataset.placeholder]);
  }
}

const whole = new Intl.NumberFormat(navigator.language);
export const number = (value) => (value === null ? "–" : whole.format(value));

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  for (; count >= 1000 && at < units.length - 1; at++) count /= 1000;
  return `${count.toFixed(at && count < 100 ? 1 : 0)} ${units[at]}`;
}

export function bitRate(kbps) {
  if (kbps === null || !Number.isFinite(kbps)) return "–";
  if (kbps < 1000) return `${kbps.toFixed(0)} kbit/s`;
  return kbps < 1e6 ? `${(kbps / 1000).toFixed(1)} Mbit/s` : `${(kbps / 1e6).toFixed(2)} Gbit/s`;
}

export function duration(seconds) {
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  return `${seconds >= 3600 ? Math.floor(seconds / 3600) + ":" : ""}${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
}
