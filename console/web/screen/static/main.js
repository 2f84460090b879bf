// Everything here makes better what works without it, but the live tail and dragging on the chart.
import { startChart } from "./chart.js";
import { startDialogs } from "./dialogs.js";
import { startKeyboard } from "./keyboard.js";
import { startLive } from "./live.js";
import { startNumbers } from "./numbers.js";
import { startPanel } from "./panel.js";
import { startPreferences } from "./preferences.js";
import { startRows } from "./rows.js";

document.documentElement.classList.add("scripted");
startPreferences();
startDialogs();
startRows();
startPanel();
startChart();
startNumbers();
startKeyboard();
startLive();
