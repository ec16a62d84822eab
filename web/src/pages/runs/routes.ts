import { type AnyRoute, createRoute, lazyRouteComponent } from "@tanstack/react-router";

/** The routes of the Runs page: the list, and one statement or job run. */
export const runsRoutes = (root: AnyRoute): AnyRoute[] => [
  createRoute({
    getParentRoute: () => root,
    path: "/runs",
    component: lazyRouteComponent(() => import("./RunsPage"), "RunsPage"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/runs/$id",
    component: lazyRouteComponent(() => import("./RunPage"), "RunPage"),
  }),
];
