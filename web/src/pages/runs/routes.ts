import { type AnyRoute, createRoute, lazyRouteComponent } from "@tanstack/react-router";

/** The routes of the Runs page. */
export const runsRoutes = (root: AnyRoute): AnyRoute[] => [
  createRoute({
    getParentRoute: () => root,
    path: "/runs",
    component: lazyRouteComponent(() => import("./RunsPage"), "RunsPage"),
  }),
];
