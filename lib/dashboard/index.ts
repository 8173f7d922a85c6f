/** A live page of connections and streams, for people. Node only. */
export { type Dashboard, type DashboardOptions, dashboard } from './dashboard.js';
